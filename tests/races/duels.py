"""Two acts on one record at once: what each pair may lead to, and what it never may."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from approvals.commands import cancel, edit_change, open_round, revoke
from approvals.models import ApprovalRound, ChangeRequest, Vote
from deployments.commands import TaskDraft, create_plan, fail, start
from deployments.models import Deployment, DeploymentPlan
from releasemgmt.accounts.commands import revoke_role
from releasemgmt.accounts.commands import system as engine
from releasemgmt.releases.commands import edit_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Conflict, NotPermitted, Refused, Stale
from releasemgmt.workflow.gates import Blocker
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, holds, say, state_of
from tests.conftest import NOW
from tests.races.meeting import Act, is_refused

DUE, LATEST = NOW + timedelta(minutes=10), NOW + timedelta(minutes=50)
#: plan → when its gates were asked, by `time.perf_counter`.
ASKED: dict[int, float] = {}


class Violation(AssertionError):
    """What must never happen has happened."""


def never(happened: bool, what: str) -> None:
    """Raise if it happened."""
    if happened:
        raise Violation(what)


@dataclass
class Duel:
    """Two acts, and who says how they ended: in a word, or by a Violation."""

    first: Act
    second: Act
    judge: Callable[[list[Any]], str]

    def outcome(self, results: list[Any]) -> str:
        """How it ended; an answer that is neither done nor refused would be a 500."""
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, Refused):
                raise Violation(f"{type(result).__name__}: {result}") from result
        return self.judge(results)


@dataclass
class Ground(World):
    """The world of approvals, with a deployer and plans for production."""

    versions: int = field(default=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.deployer = self.someone("deployer")

    def new_release(self) -> Release:
        """Another one that passed integration."""
        self.versions += 1
        return self.release(f"1.{self.versions}")

    def scheduled(self, *, changes: int = 0) -> tuple[Release, DeploymentPlan]:
        """An accepted release, with changes that ride with it, and a plan that brings it to production when due."""
        release = self.new_release()
        for _ in range(changes):
            self.assessed(releases=[release])
        self.signed(release)
        release = fire(release, "accept", actor=self.manager, now=NOW)
        times: dict[str, Any] = {"planned_start": DUE, "latest_start": LATEST}
        lists: dict[str, Any] = {"tasks": [TaskDraft("Swap it")], "backout_tasks": [TaskDraft("Swap it back")]}
        plan = create_plan(release=release, environment=self.production, actor=self.manager, now=NOW, **times, **lists)
        plan = fire(plan, "prepare", actor=self.manager, now=NOW)
        return release, fire(plan, "schedule", actor=self.manager, now=NOW)

    def start(self, plan: DeploymentPlan) -> Act:
        """Its deployer starts it."""
        return partial(start, plan, actor=self.deployer, now=DUE)

    def clear(self, plan: DeploymentPlan) -> None:
        """Free the environment for the next attempt."""
        if state_of(plan) == "in_progress":
            fail(plan, actor=self.deployer, now=DUE, reason="next")


def note_when_asked(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """A gate that is always open, and notes when the gates of a start were asked."""
    ASKED[plan.pk] = time.perf_counter()
    return []


def last_event(stream: str, kind: str) -> int:
    """The id of the stream's last event of a kind; what holds the same lock gets its ids in the order of the lock."""
    return Event.objects.filter(stream=stream, kind=kind).latest("seq").pk


def count(subject: Any, kind: str) -> int:
    return Event.objects.filter(stream=subject.stream, kind=kind).count()


def vote_and_vote(ground: Ground, turn: int) -> Duel:
    """Two who complete the count, together or each alone."""
    alone = turn % 2 == 0
    change = ground.assessed(risk="low" if alone else "medium")
    round = ground.round(change)
    other = ground.manager if alone else ground.members[0]

    def judge(results: list[Any]) -> str:
        never(state_of(change) != "scheduled", "enough votes, and nothing came of them")
        never(count(change, "approvals.round.approve") != 1, "decided more than once")
        never(count(change, "approvals.changerequest.authorize") != 1, "authorised more than once")
        never(round.votes.count() != (1 if alone else 2), "a vote too many, or one lost")
        refused = [result for result in results if isinstance(result, Refused)]
        never([each.code for each in refused] != (["round_closed"] if alone else []), f"refused: {refused}")
        return "one decided, the other came late" if alone else "both counted"

    return Duel(partial(say, round, ground.signer), partial(say, round, other), judge)


def vote_and_edit(ground: Ground, turn: int) -> Duel:
    """The last vote, and an edit of what is voted on by somebody who did not agree to void anything."""
    release = ground.new_release() if turn % 2 else None
    change = ground.assessed(**({"releases": [release]} if release else {}))
    round = ground.round(release or change)

    def judge(results: list[Any]) -> str:
        voted, edited = not is_refused(results, 0), not is_refused(results, 1)
        never(voted and edited, "an edit voided a vote unasked, or a vote was cast on what its voter did not see")
        never(not voted and not edited, "neither of them")
        never(voted and not isinstance(results[1], Conflict), f"refused: {results[1]}")
        never(edited and not isinstance(results[0], Stale), f"refused: {results[0]}")
        never(state_of(change) != ("scheduled" if voted else "authorization"), "the change is elsewhere")
        never(holds(release or change) != voted, "signed off without a vote")
        return "the vote came first" if voted else "the edit came first"

    edit = partial(edit_change, change, changes={"test_plan": "Twice."}, actor=ground.author, now=NOW)
    return Duel(partial(say, round, ground.signer), edit, judge)


def vote_and_own_edit(ground: Ground, turn: int) -> Duel:
    """Somebody approves, and edits at the same moment what they approve."""
    change = ground.assessed()
    round = ground.round(change)
    own: dict[str, Any] = {
        "changes": {"test_plan": "Twice."},
        "actor": ground.signer,
        "now": NOW,
        "void_signoffs": True,
    }

    def judge(results: list[Any]) -> str:
        never(is_refused(results, 1), f"refused: {results[1]}")
        never(holds(change), "somebody approved their own work")
        if is_refused(results, 0):
            never(not isinstance(results[0], Stale | NotPermitted), f"refused: {results[0]}")
            never(state_of(change) != "authorization", "approved by nobody")
            return "the edit came first"
        approved, edited = (
            last_event(change.stream, f"approvals.{kind}") for kind in ("round.approve", "changerequest.edit")
        )
        never(approved > edited, "somebody approved their own work")
        return "the vote came first, and went"

    return Duel(partial(say, round, ground.signer), partial(edit_change, change, **own), judge)


def vote_and_revoke(ground: Ground, turn: int) -> Duel:
    """The vote that completes the count, and the other voter takes theirs back."""
    change = ground.assessed(risk="medium")
    round = ground.round(change)
    mine = say(round, ground.signer)

    def judge(results: list[Any]) -> str:
        never(is_refused(results, 0), f"refused: {results[0]}")
        gone = not is_refused(results, 1)
        never(Vote.objects.get(pk=mine.pk).revoked_at is not None and not gone, "gone, and refused")
        never(state_of(change) != ("authorization" if gone else "scheduled"), "decided by a vote that was taken back")
        never(not gone and results[1].code != "round_closed", f"refused: {results[1]}")
        return "taken back in time" if gone else "decided first"

    return Duel(partial(say, round, ground.members[0]), partial(revoke, mine, actor=ground.signer, now=NOW), judge)


def round_and_round(ground: Ground, turn: int) -> Duel:
    """Two managers open a round on the same release."""
    release = ground.new_release()

    def judge(results: list[Any]) -> str:
        never(any(is_refused(results, each) for each in (0, 1)), f"refused: {results}")
        never(ApprovalRound.objects.about(release).count() != 1, "two rounds")
        never(count(release, "approvals.round.open") != 1, "opened twice")
        never(results[0].pk != results[1].pk, "two answers")
        return "one round"

    managers = (ground.manager, ground.signer)
    one, other = (partial(open_round, release, actor=manager, now=NOW) for manager in managers)
    return Duel(one, other, judge)


def edit_and_start(ground: Ground, turn: int) -> Duel:
    """An edit that voids the sign-off, and the start of the plan that rests on it."""
    release, plan = ground.scheduled()
    edit = partial(edit_release, release, changes={"type": "major"}, actor=ground.author, now=DUE, void_signoffs=True)

    def judge(results: list[Any]) -> str:
        never(is_refused(results, 0), f"refused: {results[0]}")
        started = _started(plan, results)
        edited = last_event(release.stream, "releases.release.edit")
        late = started and last_event(plan.stream, "deployments.deploymentplan.start") > edited
        ground.clear(plan)
        never(late, "started what nobody had signed")
        never(holds(release), "still signed")
        return "the start came first" if started else "the edit came first"

    return Duel(edit, ground.start(plan), judge)


def _started(plan: DeploymentPlan, results: list[Any]) -> bool:
    """Whether the second act started the plan; if not, it was refused by a gate, and nothing runs."""
    started = not is_refused(results, 1)
    never(not started and not isinstance(results[1], Blocked), f"refused: {results[1]}")
    never(state_of(plan) != ("in_progress" if started else "scheduled"), "the plan is elsewhere")
    never(Deployment.objects.running().filter(plan=plan).exists() != started, "something else runs")
    return started


def revoke_role_and_start(ground: Ground, turn: int) -> Duel:
    """The only one who signed loses the role, and a plan starts that rests on the signature."""
    ground.signer = ground.someone("release_manager")
    _release, plan = ground.scheduled()
    gone_at: list[float] = []

    def take_away() -> None:
        revoke_role(ground.signer.role_assignments.get(), actor=engine())
        gone_at.append(time.perf_counter())

    def judge(results: list[Any]) -> str:
        never(is_refused(results, 0), f"refused: {results[0]}")
        started = _started(plan, results)
        ground.clear(plan)
        never(started and gone_at[0] < ASKED[plan.pk], "started on a vote that had stopped counting")
        return "the start came first" if started else "the role went first"

    return Duel(take_away, ground.start(plan), judge)


def cancel_and_start(ground: Ground, turn: int) -> Duel:
    """A release, or a change that rides with it, is cancelled, and its plan starts."""
    release, plan = ground.scheduled(changes=turn % 2)
    why: dict[str, Any] = {"actor": ground.manager, "now": DUE, "reason": "not now"}
    change = ChangeRequest.objects.riding_with(release).first()
    stop = partial(cancel, change, **why) if change else partial(fire, release, "cancel", **why)

    def judge(results: list[Any]) -> str:
        started = _started(plan, results)
        stopped = state_of(change or release) == "cancelled"
        ground.clear(plan)
        never(stopped == is_refused(results, 0), "cancelled, and refused")
        never(started and stopped, "started what was cancelled")
        never(not started and not stopped, "neither of them")
        return "the start came first" if started else "cancelled first"

    return Duel(stop, ground.start(plan), judge)


#: The races, by what meets. Each is prepared for its n-th attempt.
DUELS: Mapping[str, Callable[[Ground, int], Duel]] = {
    "vote / vote": vote_and_vote,
    "vote / edit": vote_and_edit,
    "vote / own edit": vote_and_own_edit,
    "vote / revoke": vote_and_revoke,
    "round / round": round_and_round,
    "edit / start": edit_and_start,
    "role revoked / start": revoke_role_and_start,
    "cancel / start": cancel_and_start,
}
