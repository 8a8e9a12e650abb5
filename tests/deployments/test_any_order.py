"""A release's whole life in any order, from planned to deployed and back: the service agrees with a model of a page."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as times
from hypothesis import strategies as st

from approvals.commands import open_round
from approvals.queries import current_round
from deployments.commands import back_out, fail, finish_plans, finish_task, start
from deployments.models import Deployment, DeploymentPlan
from deployments.queries import running_in
from releasemgmt.releases.commands import edit_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries as workflow
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Refused
from tests.approvals.world import World, holds, say, state_of
from tests.conftest import NOW
from tests.deployments.world import Shop
from tests.scale import scaled

#: Transition → the states from which it leads on, and where.
STEPS = {
    "build": ({"planned"}, "built"),
    "pass_integration": ({"built"}, "integration_tested"),
    "rework": ({"built", "integration_tested", "accepted", "rolled_back"}, "planned"),
    "accept": ({"integration_tested"}, "accepted"),
    "cancel": ({"planned", "built", "integration_tested", "accepted"}, "cancelled"),
}
SIGNED_IN = {"integration_tested", "accepted", "deployed"}
TO_PRODUCTION = {"accepted", "deployed"}
UNDER_WAY = {"in_progress", "backing_out"}


class Model:
    """What must be true: it reaches production accepted, by one plan at a time, with a sign-off of what it is then."""

    def __init__(self) -> None:
        self.state, self.last = "integration_tested", "pass_integration"
        self.type, self.cycle = "minor", 1
        self.round: tuple[str, Any] | None = None
        self.plan = ""
        #: How often it reached production and was not taken back; and whether the last plan did.
        self.deployments, self.reached = 0, False

    @property
    def content(self) -> Any:
        return self.type, self.cycle

    @property
    def holds(self) -> bool:
        return self.round == ("approved", self.content)

    def step(self, name: str) -> bool:
        if self.last == name:
            return True
        sources, target = STEPS[name]
        running = name in ("rework", "cancel") and self.plan in UNDER_WAY
        if self.state not in sources or running or (name == "accept" and not self.holds):
            return False
        self.state, self.last = target, name
        self.cycle += name == "rework"
        return True

    def edit(self) -> bool:
        if self.state not in {*STEPS["cancel"][0]}:
            return False
        self.type = "major" if self.type == "minor" else "minor"
        return True

    def open(self) -> bool:
        if self.state not in SIGNED_IN:
            return False
        if self.round not in (("approved", self.content), ("open", self.content)):
            self.round = ("open", self.content)
        return True

    def vote(self) -> bool:
        if self.round != ("open", self.content) or self.state not in SIGNED_IN:
            return False
        self.round = ("approved", self.content)
        return True

    def schedule(self) -> bool:
        if self.state not in TO_PRODUCTION or self.plan in {"scheduled", *UNDER_WAY}:
            return False
        self.plan, self.reached = "scheduled", False
        return True

    def start(self) -> bool:
        if self.plan == "in_progress":
            return True
        if self.plan != "scheduled" or self.state not in TO_PRODUCTION or not self.holds:
            return False
        self.plan = "in_progress"
        return True

    def finish(self) -> bool:
        if self.plan != "in_progress":
            return False
        self.plan, self.reached = "succeeded", True
        self.deployments += 1
        if self.state == "accepted":
            self.state, self.last = "deployed", "deploy"
        return True

    def fail(self) -> bool:
        if self.plan == "failed":
            return True
        allowed = self.plan == "in_progress"
        self.plan = "failed" if allowed else self.plan
        return allowed

    def back_out(self) -> bool:
        if self.plan in {"in_progress", "failed", "succeeded"}:
            self.plan = "backing_out"
        return self.plan == "backing_out"

    def go_back(self) -> bool:
        if self.plan != "backing_out":
            return False
        self.plan = "rolled_back"
        self.deployments -= self.reached
        if self.state == "deployed" and not self.deployments:
            self.state, self.last = "rolled_back", "roll_back"
        return True


class Service:
    """The same acts on the service."""

    def __init__(self) -> None:
        self.world = World()
        self.shop = Shop.__new__(Shop)
        self.deployer = self.world.someone("deployer")
        self.release = self.world.release()
        self.drawn: DeploymentPlan | None = None

    @property
    def plan(self) -> DeploymentPlan:
        if self.drawn is None:
            raise Refused("There is no plan.")
        return DeploymentPlan.objects.get(pk=self.drawn.pk)

    def step(self, name: str) -> None:
        why: Any = {"reason": "So it is."} if name in ("rework", "cancel") else {}
        fire(self.release, name, actor=self.world.manager, now=NOW, **why)

    def edit(self) -> None:
        other = "major" if Release.objects.get(pk=self.release.pk).type == "minor" else "minor"
        edit_release(self.release, changes={"type": other}, actor=self.world.author, now=NOW, void_signoffs=True)

    def open(self) -> None:
        open_round(Release.objects.get(pk=self.release.pk), actor=self.world.manager, now=NOW)

    def vote(self) -> None:
        round = current_round(Release.objects.get(pk=self.release.pk))
        if round is None:
            raise Refused("There is no round.")
        say(round, self.world.signer)

    def schedule(self) -> None:
        if self.drawn and self.plan.state in {"scheduled", *UNDER_WAY}:
            raise Refused("There is one.")
        release = Release.objects.get(pk=self.release.pk)
        self.shop.manager = self.world.manager
        self.shop.production = self.world.production
        self.drawn = self.shop.scheduled(release, planned_start=NOW)

    def start(self) -> None:
        start(self.plan, actor=self.deployer, now=NOW)

    def finish(self) -> None:
        plan = self.plan
        if plan.state != "in_progress":
            raise Refused("Nothing runs.")
        for task in plan.tasks.filter(is_backout=False):
            finish_task(task, actor=self.deployer, now=NOW)
        finish_plans(NOW)

    def fail(self) -> None:
        fail(self.plan, reason="So it is.", actor=self.deployer, now=NOW)

    def back_out(self) -> None:
        back_out(self.plan, reason="So it is.", actor=self.deployer, now=NOW)

    def go_back(self) -> None:
        plan = self.plan
        if plan.state != "backing_out":
            raise Refused("Nothing goes back.")
        for task in plan.tasks.filter(is_backout=True):
            finish_task(task, actor=self.deployer, now=NOW)
        finish_plans(NOW)


STEP = st.tuples(st.just("step"), st.tuples(st.sampled_from(list(STEPS))))
OTHER = st.sampled_from(["open", "vote", "edit", "schedule", "start", "start", "finish", "fail", "back_out", "go_back"])
#: Straight ahead; acts at random come between, instead and after.
AHEAD = [("open", ()), ("vote", ()), ("step", ("accept",)), ("schedule", ()), ("start", ()), ("finish", ())]
AHEAD += [("back_out", ()), ("go_back", ())]


@st.composite
def lives(draw: Any) -> list[tuple[str, Any]]:
    """The straight way with acts put in, left out, and put behind."""
    any_act = st.one_of(STEP, st.tuples(OTHER, st.just(())))
    found: list[tuple[str, Any]] = []
    for act in AHEAD:
        found += draw(st.lists(any_act, max_size=2))
        found += [act] * draw(st.sampled_from([0, 1, 1, 1]))
    rest: list[tuple[str, Any]] = draw(st.lists(any_act, max_size=6))
    return found + rest


@times(
    max_examples=scaled(short=30, long=1_000),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=lives())
def test_the_service_agrees_with_the_model(db: Any, settings: Any, acts: list[tuple[str, Any]]) -> None:
    settings.RISK_FACTS = []
    settings.WORKFLOW_GATES = {
        key: [path for path in paths if not path.startswith("releasemgmt.")]
        for key, paths in settings.WORKFLOW_GATES.items()
    }
    model, service = Model(), Service()
    for name, arguments in acts:
        allowed = getattr(model, name)(*arguments)
        try:
            getattr(service, name)(*arguments)
        except Refused as refused:
            assert not allowed, f"{name} {arguments} was refused: {refused}"
        else:
            assert allowed, f"{name} {arguments} was not refused"
        assert state_of(service.release) == model.state
        assert holds(service.release) == model.holds
        assert (service.plan.state if service.drawn else "") == model.plan
        running = Deployment.objects.running().filter(plan__release=service.release).count()
        assert running == (model.plan in UNDER_WAY)
        runs = running_in(service.world.production, service.release.product)
        assert {each.release for each in runs} == ({service.release} if model.deployments else set())
    assert list(workflow.breaks()) == []
