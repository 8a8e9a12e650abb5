"""Incidents: reported, corrected, restored, withdrawn, imported; each time what was known stays known."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from deployments.commands import correct_incident, record_incident, report_incident, withdraw_incident
from deployments.models import Deployment, Incident, IncidentRevision
from deployments.queries import known_incidents
from releasemgmt.accounts.models import User
from releasemgmt.workflow.errors import Invalid, NotPermitted, WrongState
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.deployments.world import HOUR, Shop, kinds, refused
from tests.factories import ProductFactory, someone

pytestmark = pytest.mark.django_db


def report(shop: Shop, **facts: Any) -> Incident:
    """Production is down since an hour."""
    given = {"title": "No checkout", "kind": "down", "started_at": NOW - HOUR, "environment": shop.production}
    return report_incident(**{"product": shop.product, "actor": shop.author, "now": NOW, **given, **facts})


def correct(
    shop: Shop, incident: Incident, *, actor: User | None = None, at: datetime = NOW, **changes: Any
) -> Incident:
    return correct_incident(incident, changes=changes, actor=actor or shop.author, now=at)


def deployed(shop: Shop, version: str, *, at: datetime = NOW - 2 * HOUR, **facts: Any) -> Deployment:
    times = {"started_at": at - HOUR / 6, "finished_at": at}
    return shop.report(release=shop.release(version), **times, **facts)[0]


def record(shop: Shop, hours: int, *, actor: User | None = None, **facts: Any) -> bool:
    """What a history says, recorded so many hours before now."""
    admin = actor or User.objects.filter(username="admin").first() or someone("administrator", username="admin")
    given = {"title": "Mirrors are slow", "kind": "degraded", "started_at": NOW - 9 * HOUR}
    at = NOW - hours * HOUR
    return record_incident(
        product=shop.product, external_id="mirrors", recorded_at=at, actor=admin, **{**given, **facts}
    )[1]


def history(incident: Incident) -> list[tuple[Any, ...]]:
    """From when until when, and what was known of the end, and whether it was withdrawn."""
    rows = incident.revisions.order_by("recorded_at", "pk")
    return list(rows.values_list("recorded_at", "superseded_at", "restored_at", "withdrawn"))


def test_an_incident_is_open_until_it_is_restored(shop: Shop) -> None:
    api = shop.product.components.get(key="api")
    incident = report(shop, components=[api], severity="critical")
    assert (str(incident), incident.state, incident.recorded_at) == (f"INC-{incident.pk}", "open", NOW)
    later = NOW + HOUR
    restored = correct(shop, incident, restored_at=later, at=later)
    assert (restored.state, kinds(restored)) == ("restored", ["restore", "create"])
    assert history(incident) == [(NOW, later, None, False), (later, None, later, False)]
    assert list(incident.revisions.values_list("components", flat=True)) == [["api"]] * 2
    assert correct(shop, incident, restored_at=None, at=later + HOUR).is_open
    assert kinds(incident)[0] == "edit"


def test_what_is_known_already_is_no_news(shop: Shop) -> None:
    incident = report(shop)
    correct(shop, incident, title="No checkout", components=[])
    assert (kinds(incident), incident.revisions.count()) == (["create"], 1)


def test_who_names_the_cause_confirms_it(shop: Shop) -> None:
    incident, cause = report(shop), deployed(shop, "1.0")
    correct(shop, incident, actor=shop.manager, caused_by=cause)
    incident = correct(shop, incident, actor=shop.deployer, caused_by=cause, severity="minor")
    assert (incident.caused_by, incident.cause_confirmed_by) == (cause, shop.manager)
    assert kinds(incident) == ["edit", "confirm_cause", "create"]
    incident = correct(shop, incident, caused_by=None, fixed_by=cause)
    assert (incident.cause_confirmed_by, incident.fixed_by, incident.fix_confirmed_by) == (None, cause, shop.author)
    last = incident.revisions.get(superseded_at=None)
    assert (last.caused_by, last.fixed_by, last.fix_confirmed_by) == (None, cause, shop.author)


@pytest.mark.parametrize("name", ["caused_by", "fixed_by"])
def test_no_machine_confirms_a_deployment(shop: Shop, name: str) -> None:
    incident, deployment = report(shop, actor=shop.ci), deployed(shop, "1.0")
    with refused(NotPermitted, incident):
        correct_incident(incident, changes={name: deployment}, actor=shop.ci, now=NOW)
    assert Incident.objects.count() == 1
    with refused(NotPermitted, shop.product):
        report(shop, actor=shop.ci, **{name: deployment})
    assert (Incident.objects.count(), IncidentRevision.objects.count()) == (1, 1)


def test_what_makes_no_sense_is_refused(shop: Shop) -> None:
    strange = ProductFactory(key="other", components=["api"])
    incident, late = report(shop), deployed(shop, "1.0", at=NOW)
    wrong: list[dict[str, Any]] = [
        {"restored_at": NOW - 2 * HOUR},
        {"detected_at": NOW - 2 * HOUR},
        {"started_at": NOW + HOUR},
        {"restored_at": NOW + HOUR},
        {"environment": None},
        {"kind": "notice"},
        {"components": [strange.components.get()]},
        {"caused_by": late},
    ]
    for facts in wrong:
        with refused(Invalid, incident) as caught:
            correct(shop, incident, **facts)
        assert list(caught.value.errors) == list(facts)
        with refused(Invalid, incident):
            report(shop, **facts)
    shop.product.environments.remove(shop.test)
    with refused(Invalid, incident):
        correct(shop, incident, environment=shop.test)
    assert (Incident.objects.count(), IncidentRevision.objects.count()) == (1, 1)


@pytest.mark.parametrize("role", ["auditor", "administrator", "cab_member"])
def test_others_than_those_who_edit_records_change_nothing(shop: Shop, role: str) -> None:
    incident, other = report(shop), someone(role, team=shop.product.team)
    with refused(NotPermitted, incident):
        report(shop, actor=other)
    with refused(NotPermitted, incident):
        correct(shop, incident, actor=other, title="Nothing")
    with refused(NotPermitted, incident):
        withdraw_incident(incident, reason="No.", actor=other, now=NOW)
    assert IncidentRevision.objects.count() == 1


def test_what_was_recorded_in_error_counts_nowhere_and_can_be_read(shop: Shop) -> None:
    incident = report(shop)
    with refused(Invalid, incident):
        withdraw_incident(incident, reason=" ", actor=shop.author, now=NOW)
    gone = withdraw_incident(incident, reason="It was the monitor.", actor=shop.author, now=NOW + HOUR)
    assert (gone.state, kinds(gone)) == ("withdrawn", ["withdraw", "create"])
    withdraw_incident(incident, reason="Again.", actor=shop.author, now=NOW + 2 * HOUR)
    assert history(incident) == [(NOW, NOW + HOUR, None, False), (NOW + HOUR, None, None, True)]
    with refused(WrongState, incident):
        correct(shop, incident, title="It was not.")
    assert not known_incidents([shop.product]).exists()
    assert known_incidents([shop.product], as_of=NOW).get().incident == incident


def test_what_was_known_at_any_instant_can_be_told(shop: Shop) -> None:
    incident = report(shop)
    correct(shop, incident, restored_at=NOW, at=NOW + HOUR)
    correct(shop, incident, restored_at=NOW - HOUR / 2, at=NOW + 3 * HOUR)

    def known(at: datetime | None) -> list[Any]:
        return [row.restored_at for row in known_incidents([shop.product], as_of=at)]

    assert known(NOW - HOUR) == []
    assert known(NOW) == [None]
    assert known(NOW + HOUR) == known(NOW + 2 * HOUR) == [NOW]
    assert known(NOW + 3 * HOUR) == known(None) == [NOW - HOUR / 2]


def test_a_clock_that_goes_back_leaves_the_order_of_revisions(shop: Shop) -> None:
    incident = report(shop)
    correct(shop, incident, title="Later", at=NOW - HOUR / 60)
    assert history(incident) == [(NOW, NOW, None, False), (NOW, None, None, False)]
    assert [row.title for row in known_incidents([shop.product], as_of=NOW)] == ["Later"]


def test_a_history_is_replayed_once(shop: Shop) -> None:
    def replay() -> list[bool]:
        end = NOW - 7 * HOUR
        return [
            record(shop, 8, planned=True),
            record(shop, 6, restored_at=end),
            record(shop, 6, restored_at=end),
            record(shop, 4, restored_at=end, title="Mirrors were slow"),
            record(shop, 3, restored_at=end, title="Mirrors were slow", withdrawn=True),
            record(shop, 2, restored_at=end, title="Mirrors were slow", withdrawn=False),
        ]

    assert replay() == [True, True, False, True, True, True]
    incident = Incident.objects.get()
    assert (incident.recorded_at, incident.state, incident.environment) == (NOW - 8 * HOUR, "restored", None)
    assert [withdrawn for *_, withdrawn in history(incident)] == [False, False, False, True, False]
    assert known_incidents([shop.product], as_of=NOW - 3 * HOUR).count() == 0
    before = (list(Incident.objects.values()), list(IncidentRevision.objects.values()), Event.objects.count())
    assert replay() == [False] * 6
    assert (list(Incident.objects.values()), list(IncidentRevision.objects.values()), Event.objects.count()) == before


def test_a_history_is_kept_in_its_order_and_by_administrators(shop: Shop) -> None:
    record(shop, 4)
    incident = Incident.objects.get()
    with refused(Invalid, incident):
        record(shop, 5, title="Earlier")
    with refused(Invalid, incident):
        record(shop, 3, restored_at=NOW - 10 * HOUR)
    with refused(NotPermitted, incident):
        record(shop, 3, actor=shop.manager, title="Mine")
    assert IncidentRevision.objects.count() == 1
    corrected = correct(shop, incident, kind="down", environment=shop.production)
    assert (corrected.kind, corrected.is_imported) == ("down", True)
    assert record(shop, 4) is False
