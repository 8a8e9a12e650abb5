"""Events in words: every kind has a sentence, and what a sentence leaves out is told below it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from releasemgmt.portal import reference, story
from releasemgmt.workflow import fsm
from releasemgmt.workflow.checks import stateful_models
from releasemgmt.workflow.models import Event


def event(kind: str, /, **data: Any) -> Event:
    return Event(kind=kind, data=data, stream="release:4", seq=1, at=datetime(2026, 3, 2, 9, tzinfo=UTC))


def kinds() -> set[str]:
    """Whatever the code can append."""
    fired = {f"{m._meta.app_label}.{m._meta.model_name}.{a.name}" for m in stateful_models() for a in fsm.catalogue(m)}
    return fired | set(reference._recorded_kinds())


def test_every_kind_of_event_has_a_sentence() -> None:
    assert sorted(kinds() - set(story.SENTENCES)) == []


@pytest.mark.parametrize("kind", sorted(story.SENTENCES))
def test_a_sentence_stands_even_without_its_facts(kind: str) -> None:
    assert story.sentence(event(kind))


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("approvals.vote.cast", {"round": 5, "decision": "approve"}, "voted to approve in round 5"),
        ("accounts.user.grant_role", {"role": "cab_member", "team": "web"}, "granted the role CAB member in web"),
        ("accounts.user.grant_role", {"role": "auditor", "team": None}, "granted the role auditor in every team"),
        (
            "deployments.deployment.report",
            {"kind": "deploy", "environment": "test", "status": "failed"},
            "reported a deployment to test: failed",
        ),
        ("somebody.elses.new_kind", {}, "new kind"),
    ],
)
def test_facts_stand_in_the_sentence(kind: str, data: dict[str, Any], said: str) -> None:
    assert story.sentence(event(kind, **data)) == said


def test_what_the_sentence_leaves_out_is_told_in_short() -> None:
    edited = event(
        "releases.release.edit", changes={"risk": ["low", "high"], "on_hold": [False, True], "train": ["", "A"]}
    )
    assert story.facts(edited) == [("risk", "low → high"), ("on hold", "no → yes"), ("train", "A")]
    written = event("releases.document.write", document="impact", changes={"impact": ["one", "a " * 200]})
    assert story.facts(written) == [("text", "200 words, 1 before")]
    held = event("deployments.deploymentplan.hold_up", blockers=[{"code": "x", "reason": "Approvals are missing."}])
    assert story.facts(held) == [("because", "Approvals are missing.")]


def test_digests_are_short_and_instants_are_the_readers() -> None:
    assert story.plain("sha256:" + "ab" * 32) == "sha256:abababababab…"
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        assert story.plain("2026-03-02T09:00:00Z") == "2 Mar 2026, 18:00"


def test_a_stream_is_found_by_the_number_of_its_record() -> None:
    assert [story.stream(name) for name in ("REL-4", " chg-12 ", "product:1")] == [
        "release:4",
        "changerequest:12",
        "product:1",
    ]
