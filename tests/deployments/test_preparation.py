"""The preparation list: what is asked for, who verified it with what evidence, and for which builds that counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deployments.commands import ask_for, reschedule, start, start_due_plans, verify
from deployments.models import DeploymentPlan, PreparationItem, Verification
from deployments.queries import checklist, readiness
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.notifications.fanout import drain
from releasemgmt.notifications.models import Delivery
from releasemgmt.releases.commands import record_test_run, set_builds
from releasemgmt.releases.models import Build, Release
from releasemgmt.workflow.commands import fire, reading
from releasemgmt.workflow.errors import Blocked, Invalid, NotPermitted, Refused, Stale, WrongState
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.deployments.world import HOUR, Shop, codes, kinds, refused
from tests.factories import EnvironmentFactory, ProductFactory, someone

ALL = [(kind, "") for kind in ("functionality", "compliance", "configuration", "artifacts")] + [("other", "Call Bob")]


@pytest.fixture
def asking(shop: Shop) -> Shop:
    """The shop, which asks for everything before a plan for production is ready."""
    ask_for(shop.product, tier="production", items=ALL, actor=someone("administrator"))
    return shop


@contextmanager
def left_alone(error: type[Refused], *records: Any) -> Iterator[pytest.ExceptionInfo[Any]]:
    """The block is refused; lists, verifications, the records and all streams stay as they were."""
    tables = PreparationItem, Verification
    before = [list(table.objects.order_by("pk").values()) for table in tables]
    with refused(error, *records) as caught:
        yield caught
    assert [list(table.objects.order_by("pk").values()) for table in tables] == before


def smoke(shop: Shop, release: Release, **counts: int) -> None:
    """A run of the smoke suite in staging, the environment before production."""
    given: dict[str, Any] = {"passed": 3, "failed": 0, "errors": 0, "skipped": 0, **counts}
    times: dict[str, Any] = {"started_at": NOW - HOUR, "finished_at": NOW}
    builds = list(release.builds.all())
    record_test_run(
        builds=builds,
        environment=EnvironmentFactory(key="staging"),
        suite="smoke",
        **given,
        **times,
        actor=shop.ci,
        now=NOW,
    )


def found(plan: DeploymentPlan, kind: str, *, actor: User, **said: Any) -> Verification:
    """What somebody says of an item, by default all that is right."""
    given: dict[str, Any] = {"evidence": "https://wiki.example.org/1", "title": "Call Bob" if kind == "other" else ""}
    if kind == "configuration":
        given["digest"] = next(each.digest for each in checklist(plan) if each.kind == kind)
    if kind == "artifacts":
        given["digests"] = digests(plan.release)
    return verify(plan, kind=kind, actor=actor, now=NOW, **{**given, **said})


def digests(release: Release) -> dict[str, str]:
    return dict(release.builds.values_list("component__key", "digest"))


def states(plan: DeploymentPlan) -> dict[str, str]:
    """How each item stands, by its kind."""
    fresh = DeploymentPlan.objects.get(pk=plan.pk)
    return {each.kind: each.state for each in checklist(fresh)}


def whole(shop: Shop, release: Release) -> DeploymentPlan:
    """A draft with everything verified."""
    plan = shop.plan(release)
    smoke(shop, release)
    for kind in ("compliance", "configuration", "artifacts", "other"):
        found(plan, kind, actor=shop.ci if kind == "artifacts" else shop.deployer)
    return plan


def open_items(release: Release, environment: Environment) -> list[tuple[str, str]]:
    """What the readiness of a release says of its preparation."""
    verdicts = readiness(release, environment, at=NOW + HOUR).verdicts
    (verdict,) = (each for each in verdicts if each.gate == "preparation_holds")
    return [(blocker.code, blocker.reason) for blocker in verdict.blockers]


def test_readiness_says_what_is_not_verified_whether_there_is_a_plan_or_not(shop: Shop) -> None:
    ask_for(
        shop.product,
        tier="production",
        items=[("compliance", ""), ("other", "Call Bob")],
        actor=someone("administrator"),
    )
    release = shop.release("1.0")
    missing = [
        ("preparation_missing", "“Target environment compliant” is not verified yet."),
        ("preparation_missing", "“Call Bob” is not verified yet."),
    ]
    assert open_items(release, shop.production) == missing
    assert open_items(release, shop.test) == []
    plan = shop.plan(release)
    verify(plan, kind="compliance", evidence="Seen.", actor=shop.ci, now=NOW)
    assert open_items(release, shop.production) == missing[1:]
    verify(plan, kind="other", title="Call Bob", evidence="Seen.", actor=shop.ci, now=NOW)
    fire(plan, "prepare", actor=shop.manager, now=NOW)
    assert open_items(release, shop.production) == []
    verify(plan, kind="compliance", evidence="Broken.", holds=False, actor=shop.ci, now=NOW)
    assert [code for code, _reason in open_items(release, shop.production)] == ["preparation_refuted"]


def test_nothing_is_asked_where_there_is_no_list(asking: Shop) -> None:
    plan = fire(asking.plan(asking.release("1.0"), asking.test), "prepare", actor=asking.manager, now=NOW)
    assert (plan.state, plan.asked_items, checklist(plan)) == ("ready", [], [])


def test_a_plan_is_ready_once_every_item_is_verified(asking: Shop) -> None:
    release = asking.release("1.0")
    plan = asking.plan(release)
    with left_alone(Blocked, plan) as caught:
        fire(plan, "prepare", actor=asking.manager, now=NOW)
    assert codes(caught) == ["preparation_missing"] * 5
    told = {blocker.reason: blocker.who_can_clear for blocker in caught.value.blockers}
    assert told["The smoke suite has not run on these builds in Staging."] == ("service", "contributor")
    assert told["“Call Bob” is not verified yet."] == ("release_manager", "deployer", "service")
    plan = fire(whole(asking, release), "prepare", actor=asking.manager, now=NOW)
    assert plan.asked_items == [list(item) for item in ALL]
    said = {each.kind: (each.by.username, each.evidence) for each in plan.verifications.all()}
    assert said["artifacts"] == ("ci", "https://wiki.example.org/1")
    assert kinds(plan)[:5] == ["prepare", "verify", "verify", "verify", "verify"]


@pytest.mark.parametrize(
    ("counts", "state"),
    [({"failed": 1}, "refuted"), ({"errors": 1}, "refuted"), ({"passed": 0}, "refuted"), ({}, "verified")],
)
def test_functionality_verifies_itself_by_the_last_smoke_run_before(
    asking: Shop, counts: dict[str, int], state: str
) -> None:
    release = asking.release("1.0")
    smoke(asking, asking.release("0.9"))
    plan = asking.plan(release)
    assert states(plan)["functionality"] == "missing"
    smoke(asking, release)
    smoke(asking, release, **counts)
    check = checklist(plan)[0]
    assert (check.state, check.run is not None) == (state, True)


def test_where_there_is_no_environment_before_functionality_stays_closed(shop: Shop) -> None:
    ask_for(shop.product, tier="development", items=[("functionality", "")], actor=someone("administrator"))
    plan = shop.plan(shop.release("1.0"), EnvironmentFactory(key="development"))
    with left_alone(Blocked, plan) as caught:
        fire(plan, "prepare", actor=shop.manager, now=NOW)
    (blocker,) = caught.value.blockers
    assert (blocker.code, blocker.who_can_clear) == ("preparation_missing", ("administrator",))


def test_an_artifact_that_is_not_what_was_built_is_on_record_and_told(asking: Shop) -> None:
    plan = whole(asking, asking.release("1.0"))
    strange = {**digests(plan.release), "web": f"sha256:{'a' * 64}"}
    said = found(plan, "artifacts", actor=asking.ci, digests=strange)
    assert (said.holds, said.digests, states(plan)["artifacts"]) == (False, strange, "refuted")
    event = Event.objects.filter(stream=plan.stream).latest("seq")
    assert event.kind == "deployments.preparation.refute"
    assert event.data["differing"] == [{"component": "web", "built": digests(plan.release)["web"]}]
    drain(now=NOW)
    told = Delivery.objects.filter(event=event, channel="inbox")
    assert asking.manager.pk in told.values_list("recipient", flat=True)
    with left_alone(Blocked, plan) as caught:
        fire(plan, "prepare", actor=asking.manager, now=NOW)
    assert codes(caught) == ["preparation_refuted"]
    assert "of web another digest was found than was built" in str(caught.value)
    found(plan, "artifacts", actor=asking.ci)
    assert fire(plan, "prepare", actor=asking.manager, now=NOW).state == "ready"


def test_what_does_not_hold_closes_a_start_that_was_scheduled(asking: Shop) -> None:
    plan = whole(asking, asking.release("1.0"))
    for step in ("prepare", "schedule"):
        plan = fire(plan, step, actor=asking.manager, now=NOW)
    found(plan, "compliance", actor=asking.deployer, holds=False, evidence="The disk is full.")
    with left_alone(Blocked, plan) as caught:
        start(plan, actor=asking.deployer, now=plan.planned_start)
    assert codes(caught) == ["preparation_refuted"]
    assert "The disk is full." in str(caught.value)
    found(plan, "compliance", actor=asking.deployer)
    assert start(plan, actor=asking.deployer, now=plan.planned_start).state == "in_progress"


def test_other_builds_have_to_be_verified_again(asking: Shop) -> None:
    release = asking.release("1.0", to="planned")
    plan = fire(whole(asking, release), "prepare", actor=asking.manager, now=NOW)
    other: list[Build] = [asking.build(key, "1.1") for key in ("api", "web")]
    set_builds(release, builds=other, actor=asking.ci, now=NOW)
    now = {"functionality": "missing", "configuration": "outdated", "artifacts": "outdated"}
    assert states(plan) == {**now, "compliance": "verified", "other": "verified"}
    for transition in ("build", "pass_integration", "accept"):
        release = fire(Release.objects.get(pk=release.pk), transition, actor=asking.manager, now=NOW)
    with left_alone(Blocked, plan) as caught:
        fire(plan, "schedule", actor=asking.manager, now=NOW)
    assert codes(caught) == ["preparation_missing", "preparation_outdated", "preparation_outdated"]
    set_builds_back = [asking.build(key, "1.0") for key in ("api", "web")]
    release = fire(release, "rework", actor=asking.manager, now=NOW, reason="The old ones were right.")
    set_builds(release, builds=set_builds_back, actor=asking.ci, now=NOW)
    assert set(states(plan).values()) == {"verified"}


def test_a_configuration_is_reviewed_again_when_something_else_runs_there(asking: Shop) -> None:
    plan = whole(asking, asking.release("1.0"))
    hotfix = [asking.build("api", "0.9")]
    asking.report(builds=hotfix, release=None)
    assert states(plan)["configuration"] == "outdated"
    assert states(plan)["artifacts"] == "verified"
    seen = states(plan)
    with left_alone(Stale, plan):
        found(plan, "configuration", actor=asking.deployer, digest=f"sha256:{'0' * 64}")
    assert states(plan) == seen
    found(plan, "configuration", actor=asking.deployer)
    assert states(plan)["configuration"] == "verified"


def test_another_attempt_verifies_the_builds_again(asking: Shop) -> None:
    plan = whole(asking, asking.release("1.0"))
    plan = fire(plan, "prepare", actor=asking.manager, now=NOW)
    plan = fire(plan, "reopen", actor=asking.manager, now=NOW)
    again = {"configuration": "outdated", "artifacts": "outdated"}
    kept = {"functionality": "verified", "compliance": "verified", "other": "verified"}
    assert (plan.asked_items, states(plan)) == ([], {**again, **kept})
    for kind in again:
        found(plan, kind, actor=asking.deployer)
    for step in ("prepare", "schedule"):
        plan = fire(plan, step, actor=asking.manager, now=NOW)
    start_due_plans(plan.latest_start + timedelta(minutes=1))
    plan = reschedule(DeploymentPlan.objects.get(pk=plan.pk), actor=asking.manager, now=NOW)
    assert (plan.cycle, states(plan)) == (2, {**again, **kept})


def test_a_plan_keeps_the_list_under_which_it_was_prepared(asking: Shop) -> None:
    administrator = someone("administrator")
    ready = fire(whole(asking, asking.release("1.0")), "prepare", actor=asking.manager, now=NOW)
    draft = asking.plan(asking.release("2.0"))
    ask_for(asking.product, tier="production", items=[("other", "Call Eve")], actor=administrator)
    assert (len(states(ready)), [each.name for each in checklist(draft)]) == (5, ["Call Eve"])
    assert fire(ready, "schedule", actor=asking.manager, now=NOW).state == "scheduled"
    ask_for(asking.product, tier="production", items=[], actor=administrator)
    assert checklist(draft) == []


def test_a_list_is_for_administrators_and_says_what_it_means(asking: Shop) -> None:
    administrator, stream = someone("administrator"), asking.product.stream
    asked = Event.objects.filter(stream=stream, kind="deployments.preparation.ask")
    ask_for(asking.product, tier="production", items=ALL, actor=administrator)
    assert asked.count() == 1
    with left_alone(NotPermitted, asking.product):
        ask_for(asking.product, tier="production", items=[], actor=asking.manager)
    wrong: dict[str, list[tuple[str, str]]] = {
        "items.0.kind": [("smell", "")],
        "items.0.title": [("other", " ")],
        "items.1.title": [("artifacts", ""), ("compliance", "Twice checked")],
        "items.1": [("other", "Call Bob"), ("other", "Call Bob")],
        "items": [("other", f"Call {n}") for n in range(51)],
    }
    for path, items in wrong.items():
        with left_alone(Invalid, asking.product) as caught:
            ask_for(asking.product, tier="production", items=items, actor=administrator)
        assert list(caught.value.errors) == [path]


def test_what_nobody_can_say_of_an_item_is_refused(asking: Shop) -> None:
    plan = asking.plan(asking.release("1.0"))
    api, web = (digests(plan.release)[key] for key in ("api", "web"))
    wrong: list[tuple[str, str, dict[str, Any]]] = [
        ("compliance", "evidence", {"evidence": " "}),
        ("functionality", "kind", {}),
        ("other", "title", {"title": "Call Eve"}),
        ("compliance", "kind", {"title": "Call Bob"}),
        ("compliance", "digests", {"digests": {"api": api}}),
        ("artifacts", "digests.web", {"digests": {"api": api}}),
        ("artifacts", "digests.app", {"digests": {"api": api, "web": web, "app": api}}),
        ("artifacts", "digests.web", {"digests": {"api": api, "web": "latest"}}),
    ]
    for kind, field, said in wrong:
        with left_alone(Invalid, plan) as caught:
            found(plan, kind, actor=asking.deployer, **said)
        assert list(caught.value.errors) == [field]
    for actor in (
        asking.author,
        someone("auditor", team=asking.product.team),
        someone("deployer", team=ProductFactory().team),
    ):
        with left_alone(NotPermitted, plan):
            found(plan, "compliance", actor=actor)
    running = asking.started(asking.release("2.0"), asking.test)
    with left_alone(WrongState, running):
        found(running, "compliance", actor=asking.deployer)


def test_a_list_is_read_in_eight_statements(asking: Shop) -> None:
    plan = whole(asking, asking.release("1.0"))
    fresh = DeploymentPlan.objects.select_related("release__product", "environment").get(pk=plan.pk)
    with CaptureQueriesContext(connection) as captured, reading():
        assert len(checklist(fresh)) == 5
        checklist(fresh)
    assert len(captured) <= 8
