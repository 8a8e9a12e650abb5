"""Votes, edits, lost roles, new rounds and acceptance in any order: the service agrees with a model of twenty lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.commands import open_round
from approvals.models import ApprovalPolicy
from approvals.queries import current_round
from releasemgmt.accounts.commands import revoke_role, system
from releasemgmt.releases.commands import edit_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries as workflow
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Refused
from tests.approvals.world import World, holds, say, state_of
from tests.conftest import NOW
from tests.scale import scaled

PEOPLE = range(4)
NEEDED = 2


@dataclass
class Asked:
    """A round as the model knows it."""

    content: str
    electorate: set[int]
    votes: dict[int, str] = field(default_factory=dict)
    state: str = "open"


@dataclass
class Model:
    """What must be true: two release managers approved exactly this content, and still are release managers."""

    content: str = "minor"
    managers: set[int] = field(default_factory=lambda: set(PEOPLE))
    round: Asked | None = None
    accepted: bool = False

    def able(self, asked: Asked, *, without: bool = False) -> set[int]:
        against = {who for who, said in asked.votes.items() if said != "approve"} if without else set()
        return (asked.electorate & self.managers) - against

    def approving(self, asked: Asked) -> set[int]:
        return {who for who in self.able(asked) if asked.votes.get(who) == "approve"}

    @property
    def holds(self) -> bool:
        asked = self.round
        current = asked is not None and asked.state == "approved" and asked.content == self.content
        return current and len(self.approving(asked)) >= NEEDED  # type: ignore[arg-type]

    def vote(self, who: int, said: str) -> bool:
        asked = self.round
        if asked is None or asked.state != "open" or asked.content != self.content or who in asked.votes:
            return False
        if who not in self.able(asked):
            return False
        asked.votes[who] = said
        if len(self.approving(asked)) >= NEEDED:
            asked.state = "approved"
        elif len(self.able(asked, without=True)) < NEEDED <= len(self.able(asked)):
            asked.state = "rejected"
        return True

    def open(self) -> bool:
        asked = self.round
        answered = asked is not None and asked.state == "open" and asked.content == self.content
        if not self.holds and not (answered and len(self.able(asked)) >= NEEDED):  # type: ignore[arg-type]
            self.round = Asked(self.content, set(self.managers))
        return True

    def edit(self) -> bool:
        self.content = "major" if self.content == "minor" else "minor"
        return True

    def drop(self, who: int) -> bool:
        self.managers.discard(who)
        return True

    def accept(self) -> bool:
        allowed = self.holds or self.accepted
        self.accepted = allowed
        return allowed


class Service:
    """The same acts on the service."""

    def __init__(self) -> None:
        self.world = World()
        self.people = [
            self.world.manager,
            self.world.signer,
            *(self.world.someone("release_manager") for _ in range(2)),
        ]
        self.clerk = self.world.someone("release_manager", email="clerk@example.org")
        self.release = self.world.release(requested_by=self.clerk)

    def vote(self, who: int, said: str) -> None:
        round = current_round(self.release)
        if round is None:
            raise Refused("There is no round.")
        say(round, self.people[who], said, comment="Because.")

    def open(self) -> None:
        open_round(self.release, actor=self.clerk, now=NOW)

    def edit(self) -> None:
        other = "major" if Release.objects.get(pk=self.release.pk).type == "minor" else "minor"
        author = self.world.author
        edit_release(self.release, changes={"type": other}, actor=author, now=NOW, void_signoffs=True)

    def drop(self, who: int) -> None:
        for held in self.people[who].role_assignments.all():
            revoke_role(held, actor=system())

    def accept(self) -> None:
        fire(self.release, "accept", actor=self.clerk, now=NOW)


person, said = st.sampled_from(PEOPLE), st.sampled_from(["approve", "approve", "approve", "reject", "abstain"])
vote = st.tuples(st.just("vote"), st.tuples(person, said))
simple = st.tuples(st.sampled_from(["open", "open", "edit", "accept"]), st.just(()))
acts = st.lists(st.one_of(vote, vote, simple, st.tuples(st.just("drop"), st.tuples(person))), min_size=4, max_size=16)


@settings(
    max_examples=scaled(short=25, long=1_000),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=acts)
def test_the_service_agrees_with_the_model(db: Any, acts: list[tuple[str, Any]]) -> None:
    ApprovalPolicy.objects.all().delete()
    model, service = Model(), Service()
    for name, arguments in [("open", ()), *acts]:
        allowed = getattr(model, name)(*arguments)
        try:
            getattr(service, name)(*arguments)
        except Refused:
            assert not allowed, f"{name} {arguments} was refused"
        else:
            assert allowed, f"{name} {arguments} was not refused"
        round = current_round(service.release)
        assert (round and round.state) == (model.round and model.round.state)
        assert holds(service.release) == model.holds
        assert (state_of(service.release) == "accepted") == model.accepted
    assert list(workflow.breaks()) == []
