"""A product with its people, and releases and changes brought to the states in which approvals happen, by commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from approvals.commands import assess, create_change, create_change_model, open_round, submit, vote
from approvals.models import ApprovalRound, ChangeModel, ChangeRequest, Vote
from approvals.queries import Subject, current_round, is_signed_off
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.commands import create_release, register_build, send_commits, set_builds
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.factories import ProductFactory, someone

HEAD = "c" * 40


@dataclass
class World:
    """A product, the author of its work, a manager who moves it on, and those who may sign."""

    product: Product = field(default_factory=ProductFactory)

    def __post_init__(self) -> None:
        self.author = self.someone("contributor")
        self.manager = self.someone("release_manager")
        self.signer = self.someone("release_manager")
        self.members = [self.someone("cab_member") for _ in range(2)]
        self.chair = self.someone("cab_chair")
        self.administrator = self.someone("administrator")

    def someone(self, *roles: str, **fields: Any) -> User:
        return someone(*roles, team=self.product.team, **fields)

    @property
    def production(self) -> Environment:
        return self.product.environments.get(key="production")

    def release(self, version: str = "1.0", *, author: str = "", **fields: Any) -> Release:
        """A release that passed integration; `author` wrote its commit."""
        app = self.product.components.get()
        at = {"authored_at": NOW, "committed_at": NOW}
        sha = sha256(version.encode()).hexdigest()[:40]
        commit = {"sha": sha, "parents": [], "author": author, "subject": "Work", **at}
        send_commits(self.product, commits=[commit], actor=self.author, now=NOW)
        build, _ = register_build(
            product=self.product,
            component=app,
            commit_sha=sha,
            digest="sha256:" + sha.ljust(64, "0"),
            artifact_uri=f"oci://example.org/app:{version}",
            built_at=NOW,
            actor=self.author,
            now=NOW,
        )
        release, _ = create_release(
            product=self.product, version=version, components=[app], actor=self.author, now=NOW, **fields
        )
        set_builds(release, builds=[build], actor=self.author, now=NOW)
        fire(release, "build", actor=self.manager, now=NOW)
        return fire(release, "pass_integration", actor=self.manager, now=NOW)

    def change(self, **fields: Any) -> ChangeRequest:
        """A draft whose plans are written."""
        plans = dict.fromkeys(("implementation_plan", "test_plan", "backout_plan"), "As usual.")
        interval = {"planned_start": NOW - timedelta(hours=1), "planned_end": NOW + timedelta(hours=1)}
        facts: dict[str, Any] = {"title": "Larger disk", **plans, **interval, **fields}
        return create_change(product=self.product, actor=self.author, now=NOW, **facts)

    def assessed(self, **fields: Any) -> ChangeRequest:
        """A change in authorization, with its round open unless it rides with a release."""
        change = submit(self.change(**fields), actor=self.author, now=NOW)
        return assess(change, actor=self.manager, now=NOW)

    def recipe(self, **fields: Any) -> ChangeModel:
        """A model of standard changes that nobody has approved yet."""
        texts = {"impact": "A minute.", "implementation_plan": "Swap.", "test_plan": "Look.", "backout_plan": "Back."}
        facts: dict[str, Any] = {"key": "disk-swap", "name": "Disk swap", "product": self.product, **texts, **fields}
        return create_change_model(actor=self.administrator, **facts)

    def approved_recipe(self, *, now: datetime = NOW, **fields: Any) -> ChangeModel:
        """The same, approved by the chair."""
        model = self.recipe(**fields)
        say(open_round(model, actor=self.manager, now=now), self.chair, now=now)
        return model

    def emergency(self, **fields: Any) -> ChangeRequest:
        """A draft of an emergency, with what it takes to ask for it."""
        facts = {"incident_reference": "INC-4", "impact": "The shop is down.", "title": "Restart"}
        return self.change(**(facts | {"type": "emergency"} | fields))

    def round(self, subject: Subject, *, now: datetime = NOW) -> ApprovalRound:
        """The release's round, opened; or the change's, which is open."""
        if isinstance(subject, Release):
            return open_round(subject, actor=self.manager, now=now)
        found = current_round(subject)
        assert found is not None
        return found

    def signed(self, subject: Subject) -> ApprovalRound:
        """The round, approved by one release manager: enough for a low risk."""
        round = self.round(subject)
        say(round, self.signer)
        return ApprovalRound.objects.get(pk=round.pk)


def say(round: ApprovalRound, voter: User, decision: str = "approve", **fields: Any) -> Vote:
    """A vote on what the round is about."""
    facts = {"decision": decision, "digest": round.digest, "comment": "Because." if decision == "reject" else ""}
    return vote(round, actor=voter, **({"now": NOW} | facts | fields))


def holds(subject: Subject) -> bool:
    """Whether the sign-off of the record, as it is in the database now, holds."""
    return is_signed_off(type(subject).objects.get(pk=subject.pk))


def state_of(subject: Any) -> str:
    """The state in the database."""
    return str(type(subject).objects.values_list("state", flat=True).get(pk=subject.pk))


def picture(*subjects: Any) -> list[Any]:
    """Rows, streams, rounds and votes: what a refusal leaves as it is."""
    rows = [
        type(subject).objects.values("state", "revision", "event_seq", "event_hash").get(pk=subject.pk)
        for subject in subjects
    ]
    streams = [subject.stream for subject in subjects]
    return [
        rows,
        Event.objects.filter(stream__in=streams).count(),
        list(ApprovalRound.objects.order_by("pk").values("state", "digest", "decided_at")),
        list(Vote.objects.order_by("pk").values("voter", "decision", "revoked_at")),
    ]
