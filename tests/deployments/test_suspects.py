"""What the service suspects of an incident, what a confirmed cause means elsewhere, and how long defects lived."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from approvals.models import ChangeRequest
from deployments.models import Deployment, Incident, IncidentRevision
from deployments.policies import incident_errors
from deployments.queries import (
    defect_lives,
    known_incidents,
    planned_outages,
    risk_facts,
    suspects,
    track_record,
    with_suspect,
)
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.commands import create_defect, edit_defect, link_defect
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from tests.conftest import NOW
from tests.deployments.test_incidents import correct, report
from tests.deployments.world import HOUR, Shop, at

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def ship(shop: Shop, release: Release, when: datetime, **facts: Any) -> Deployment:
    with time_machine.travel(when, tick=False):
        times = {"started_at": when - HOUR / 60, "finished_at": when, "now": when}
        return shop.report(release=release, **{**times, **facts})[0]


def suspected(incident: Incident) -> tuple[Deployment | None, Deployment | None]:
    found = suspects(incident)
    return found.cause, found.fix


def test_the_last_deployment_of_the_day_before_is_suspected(shop: Shop, django_assert_max_num_queries: Any) -> None:
    one, two = shop.release("1.0"), shop.release("2.0")
    old = ship(shop, one, NOW - 3 * DAY)
    assert suspected(report(shop, started_at=NOW - HOUR)) == (None, None)
    assert suspected(report(shop, started_at=NOW - 2 * DAY))[0] == old
    assert suspected(report(shop, started_at=NOW - 3 * DAY))[0] == old
    assert suspected(report(shop, started_at=NOW - 3 * DAY - HOUR))[0] is None
    failed = ship(shop, two, NOW - 5 * HOUR, status="failed")
    ship(shop, two, NOW - 4 * HOUR, status="cancelled")
    ship(shop, two, NOW - 3 * HOUR, environment=shop.test)
    incident = report(shop, started_at=NOW - HOUR)
    with django_assert_max_num_queries(3):
        assert suspected(incident) == (failed, None)
    known = known_incidents([shop.product])
    assert with_suspect(known).get(incident=incident).suspect_id == failed.pk
    assert with_suspect(known, as_of=NOW - 6 * HOUR).get(incident=incident).suspect_id is None
    incident = correct(shop, incident, caused_by=old)
    assert suspected(incident)[0] is None
    assert with_suspect(known).get(incident=incident).suspect_id is None


def test_only_what_touched_its_components_is_suspected(shop: Shop) -> None:
    api, web = (shop.product.components.get(key=key) for key in ("api", "web"))
    both = ship(shop, shop.release("1.0"), NOW - 3 * HOUR)
    last = ship(shop, shop.release("1.1", builds=[shop.build("web", "1.1")]), NOW - 2 * HOUR)
    assert suspected(report(shop))[0] == last
    assert suspected(report(shop, components=[web]))[0] == last
    assert suspected(report(shop, components=[api]))[0] == both
    known = known_incidents([shop.product]).filter(components=["api"])
    assert with_suspect(known).get().suspect_id == both.pk
    assert not IncidentRevision.objects.filter(caused_by__isnull=False).exists()


def test_what_repaired_the_cause_is_suspected_before_a_rollback_and_that_before_the_rest(shop: Shop) -> None:
    one, two, three = (shop.release(f"{n}.0") for n in range(1, 4))
    ship(shop, one, NOW - 6 * HOUR)
    cause = ship(shop, two, NOW - 5 * HOUR)
    incident = report(shop, started_at=NOW - 4 * HOUR)
    other = ship(shop, three, NOW - 3 * HOUR)
    assert suspected(incident) == (cause, None)
    over = correct(shop, incident, restored_at=NOW)
    assert suspected(over) == (cause, other)
    back = ship(shop, one, NOW - 2 * HOUR, kind="rollback")
    ship(shop, two, NOW - HOUR)
    assert suspected(over) == (cause, back)
    repair = ship(shop, three, NOW - HOUR / 2, remediates=cause)
    assert suspected(over) == suspected(correct(shop, over, restored_at=None)) == (cause, repair)
    assert suspected(correct(shop, over, restored_at=NOW - 2.5 * HOUR)) == (cause, other)


def test_a_confirmed_cause_counts_as_gone_wrong(shop: Shop) -> None:
    normal = ReleaseModel.objects.get(key="normal")
    cause = ship(shop, shop.release("1.0"), NOW - 2 * HOUR)
    incident, nxt = report(shop), shop.release("2.0")
    assert (track_record(normal), risk_facts(nxt)) == ((1, 0), [])
    incident = correct(shop, incident, caused_by=cause)
    assert track_record(normal) == (1, 1)
    assert risk_facts(nxt) == [f"The last production deployment of {key} caused an incident." for key in ("api", "web")]
    Incident.objects.filter(pk=incident.pk).update(withdrawn=True)
    assert (track_record(normal), risk_facts(nxt)) == ((1, 0), [])


def test_planned_outages_are_those_of_approved_changes(shop: Shop) -> None:
    facts: dict[str, Any] = {"product": shop.product, "created_by": shop.author, "requested_by": shop.author}
    facts |= {"title": "New disks", "outage_expected": True, "outage_minutes": 20}
    facts |= {"planned_start": NOW, "planned_end": NOW + HOUR, "state": ChangeRequest.State.SCHEDULED}
    outage = ChangeRequest.objects.create(**facts)
    ChangeRequest.objects.create(**{**facts, "outage_expected": False, "outage_minutes": None})
    ChangeRequest.objects.create(**{**facts, "state": ChangeRequest.State.AUTHORIZATION})
    ChangeRequest.objects.create(**{**facts, "unauthorised": True})
    assert list(planned_outages([shop.product], begin=NOW - HOUR, end=NOW + DAY)) == [outage]
    assert not planned_outages([shop.product], begin=NOW + HOUR, end=NOW + DAY).exists()
    assert not planned_outages([], begin=NOW, end=NOW + DAY).exists()


def test_a_defect_lives_until_its_fix_is_deployed_and_on_when_it_is_reopened(
    shop: Shop, django_assert_num_queries: Any
) -> None:
    with time_machine.travel(NOW, tick=False):
        defect = create_defect(product=shop.product, title="Slow", actor=shop.author, now=NOW)
        never = create_defect(product=shop.product, title="Green", actor=shop.author, now=NOW)
        fire(never, "reject", actor=shop.author, now=NOW, reason="It is meant to be.")
        first, second = shop.release("1.0"), shop.release("2.0")
        link_defect(first, defect=defect, relation="fixed_in", actor=shop.author, now=NOW)
    known = [(life.opened_at, life.fixed_at, life.rejected_at) for life in defect_lives([shop.product])]
    assert known == [(NOW, None, None), (NOW, None, NOW)]
    ship(shop, first, at(10), environment=shop.test)
    ship(shop, first, at(20))
    ship(shop, first, at(30))
    with django_assert_num_queries(4):
        assert defect_lives([shop.product])[0].fixed_at == at(20)
    assert defect_lives([shop.product], as_of=at(19))[0].fixed_at is None
    assert defect_lives([shop.product], as_of=NOW - HOUR) == []
    with time_machine.travel(at(40), tick=False):
        fire(defect, "fix", actor=shop.author, now=at(40))
        fire(defect, "reopen", actor=shop.author, now=at(40), reason="Again.")
        link_defect(second, defect=defect, relation="fixed_in", actor=shop.author, now=at(40))
    assert defect_lives([shop.product])[0].fixed_at is None
    ship(shop, second, at(50))
    assert defect_lives([shop.product])[0].fixed_at == at(50)
    assert defect_lives([shop.product], as_of=at(39))[0].fixed_at == at(20)
    with time_machine.travel(at(60), tick=False):
        third = create_defect(product=shop.product, title="Loud", actor=shop.author, now=at(60), opened_at=at(45))
    with time_machine.travel(at(70), tick=False):
        link_defect(second, defect=third, relation="fixed_in", actor=shop.author, now=at(70))
    for minute, opened in ((80, at(44)), (90, at(43))):
        with time_machine.travel(at(minute), tick=False):
            edit_defect(third, changes={"opened_at": opened}, actor=shop.author, now=at(minute))
    with django_assert_num_queries(6):
        defect_lives([shop.product], as_of=at(65))
    lives = [defect_lives([shop.product], as_of=at(minute))[-1] for minute in (65, 75, 85, 95)]
    assert [life.fixed_at for life in lives] == [None, *[at(50)] * 3]  # it was in there before anybody said so
    assert [life.opened_at for life in lives] == [at(45), at(45), at(44), at(43)]
    assert defect_lives([shop.product])[-1] == lives[-1]


@pytest.mark.parametrize(
    ("facts", "wrong"),
    [
        ({"started_at": NOW, "restored_at": NOW}, []),
        ({"started_at": NOW, "restored_at": NOW - HOUR}, ["restored_at"]),
        ({"started_at": NOW, "detected_at": NOW - HOUR, "restored_at": None}, ["detected_at"]),
        ({"started_at": NOW + HOUR}, ["started_at"]),
        ({"started_at": NOW + HOUR / 60}, []),
        ({"restored_at": NOW + HOUR}, ["restored_at"]),
    ],
)
def test_when_an_incident_can_have_been(facts: dict[str, Any], wrong: list[str]) -> None:
    assert list(incident_errors(facts, now=NOW)) == wrong
    assert "started_at" not in incident_errors(facts, now=None)
