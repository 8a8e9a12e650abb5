"""Policies: those in force, what they ask for together, and what another one would change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from approvals import policies
from approvals.models import ApprovalPolicy, ChangeRequest
from approvals.policies import Ask, Rule, Stage
from approvals.queries.content import asks_of_each
from releasemgmt.releases.models import Release

#: Releases, and changes, that a preview looks at; the newest first.
LOOKED_AT = 20


class Preview(NamedTuple):
    """What a record needs now, and what it would need."""

    subject: Release | ChangeRequest
    now: list[Stage]
    then: list[Stage]


class Outlook(NamedTuple):
    """What a policy would change, among how many records, and how many older ones nobody looked at."""

    changed: Sequence[Preview]
    looked_at: int
    left_out: int


def in_force() -> list[ApprovalPolicy]:
    """The policies that count: of each key the newest version that was agreed to, unless that retires it."""
    return list(ApprovalPolicy.objects.of_standing(ApprovalPolicy.Standing.IN_FORCE).order_by("key"))


def matching(asked: Sequence[Ask], known: Iterable[ApprovalPolicy]) -> tuple[list[ApprovalPolicy], list[Stage]]:
    """The policies that speak about one of these, and what they ask for together."""
    rules = [(policy, rule_of(policy)) for policy in known]
    speaking = [policy for policy, rule in rules if any(rule.applies(ask) for ask in asked)]
    return speaking, policies.stages_for((rule for _policy, rule in rules), asked)


def rule_of(policy: ApprovalPolicy) -> Rule:
    """The policy as the rules see it."""
    return Rule(policy.subject, policy.conditions, policy.stages)


def preview(policy: ApprovalPolicy) -> Outlook:
    """The records on their way to a sign-off that would need something else if this version, saved or not, counted.

    Six statements at most.
    """
    now = in_force()
    then = [each for each in now if each.key != policy.key] + ([] if policy.retired else [policy])
    subjects, left_out = _on_their_way()
    asked = asks_of_each(subjects)
    needs = [(each, matching(asked[each], now)[1], matching(asked[each], then)[1]) for each in subjects]
    return Outlook([Preview(*each) for each in needs if each[1] != each[2]], len(subjects), left_out)


def _on_their_way() -> tuple[list[Release | ChangeRequest], int]:
    before = [Release.State.PLANNED, Release.State.BUILT, Release.State.INTEGRATION_TESTED, Release.State.ACCEPTED]
    releases = Release.objects.filter(state__in=before).select_related("product__team", "model")
    waiting = [ChangeRequest.State.ASSESSMENT, ChangeRequest.State.AUTHORIZATION]
    changes = ChangeRequest.objects.filter(state__in=waiting, releases=None).select_related("product__team")
    found: list[Release | ChangeRequest] = [
        *releases.order_by("-created_at", "-pk")[:LOOKED_AT],
        *changes.order_by("-created_at", "-pk")[:LOOKED_AT],
    ]
    return found, releases.count() + changes.count() - len(found)
