"""Incidents over REST."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from deployments.models import Incident
from tests.conftest import NOW
from tests.deployments.test_api import Caller
from tests.deployments.test_incidents import correct, deployed, report
from tests.deployments.world import HOUR, Shop
from tests.factories import ProductFactory, someone
from tests.web.world import picture

INCIDENTS = "/api/v1/incidents/"


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def api(shop: Shop) -> Caller:
    return Caller(shop.author)


BODY = {
    "product": "shop",
    "environment": "production",
    "components": ["api"],
    "title": "No checkout",
    "severity": "critical",
    "kind": "down",
    "started_at": "2026-03-02T09:00:00+01:00",
    "detected_at": "2026-03-02T08:05:00Z",
    "restored_at": None,
}


@pytest.mark.parametrize("odd", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z"])
def test_an_instant_that_nobody_can_mean_is_refused(api: Caller, odd: str) -> None:
    refused = api.post(INCIDENTS, {**BODY, "started_at": odd}, 400)
    assert refused["errors"][0]["pointer"] == "/started_at"
    assert not Incident.objects.exists()


def test_such_an_instant_that_is_stored_is_answered(api: Caller, shop: Shop) -> None:
    incident = report(shop)
    Incident.objects.filter(pk=incident.pk).update(started_at=datetime(1950, 1, 1, tzinfo=UTC))
    for address in (INCIDENTS, f"{INCIDENTS}{incident.number}/"):
        assert "1950-01-01T00:00:00Z" in str(api.get(address))


def test_an_incident_is_reported_restored_and_confirmed(api: Caller, shop: Shop) -> None:
    cause = deployed(shop, "1.0")
    made = api.post(INCIDENTS, BODY, 201)
    assert {name: made[name] for name in BODY} == {**BODY, "started_at": "2026-03-02T08:00:00Z"}
    assert (made["state"], made["permissions"]) == ("open", ["edit", "withdraw"])
    assert (made["caused_by"], made["inferred"]) == (None, {"caused_by": cause.pk, "fixed_by": None})
    changes = {"restored_at": "2026-03-02T08:30:00Z", "caused_by": cause.pk}
    over = api.patch(made["url"], changes, 200, if_match=f'"{made["number"]}.{made["revision"]}"')
    assert (over["state"], over["caused_by"], over["cause_confirmed_by"]) == ("restored", cause.pk, "author")
    assert (over["revision"], over["inferred"]["caused_by"]) == (3, None)
    kinds = [event["kind"].rpartition(".")[2] for event in api.get(f"{made['url']}events/")["results"]]
    assert kinds == ["confirm_cause", "restore", "create"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"restored_at": "2026-03-02T07:59:00Z"},
        {"detected_at": "2026-03-02T07:59:00Z"},
        {"started_at": "2026-03-02T08:00:00"},
        {"started_at": "2026-03-03T08:00:00Z"},
        {"kind": "notice"},
        {"severity": "huge"},
        {"components": ["none"]},
        {"environment": None},
        {"caused_by": 999_999},
        {"planned": True},
        {"title": ""},
    ],
    ids=lambda wrong: " ".join(wrong),
)
def test_what_makes_no_sense_is_400_and_leaves_everything_as_it_was(
    api: Caller, shop: Shop, wrong: dict[str, Any]
) -> None:
    incident = report(shop)
    before, url = picture(incident), f"{INCIDENTS}{incident}/"
    assert api.post(INCIDENTS, {**BODY, **wrong}, 400)["errors"][0]["pointer"].startswith(f"/{next(iter(wrong))}")
    api.patch(url, wrong, 400, if_match="*")
    api.patch(url, {"title": "Other"}, 428)
    api.patch(url, {"title": "Other"}, 412, if_match='"INC-1.9"')
    assert (picture(incident), Incident.objects.count()) == (before, 1)


def test_one_that_was_recorded_in_error_is_withdrawn_once(api: Caller, shop: Shop) -> None:
    incident = report(shop)
    url = f"{INCIDENTS}{incident}/"
    before = picture(incident)
    api.post(f"{url}withdraw/", {}, 400)
    Caller(someone("auditor", team=shop.product.team)).post(f"{url}withdraw/", {"reason": "No."}, 403)
    assert picture(incident) == before
    gone = api.post(f"{url}withdraw/", {"reason": "It was the monitor."}, 200)
    assert (gone["state"], gone["permissions"]) == ("withdrawn", [])
    before = picture(incident)
    assert api.post(f"{url}withdraw/", {"reason": "Again."}, 200)["revision"] == gone["revision"]
    assert api.patch(url, {"title": "Other"}, 409, if_match="*")["code"] == "wrong_state"
    assert picture(incident) == before


def test_lists_are_filtered_in_a_constant_number_of_statements(
    api: Caller, shop: Shop, django_assert_max_num_queries: Any
) -> None:
    cause = deployed(shop, "1.0")
    first = report(shop, components=list(shop.product.components.all()), started_at=NOW - 2 * HOUR)
    correct(shop, first, restored_at=NOW - HOUR, caused_by=cause, at=NOW)
    for hours in (3, 4, 5):
        report(shop, started_at=NOW - hours * HOUR, kind="degraded", severity="minor")

    def found(query: str) -> int:
        return len(api.get(f"{INCIDENTS}?{query}")["results"])

    with django_assert_max_num_queries(7):
        listed = api.get(INCIDENTS)["results"]
    assert [row["started_at"] for row in listed] == sorted((row["started_at"] for row in listed), reverse=True)
    assert listed[0]["components"] == ["api", "web"] and "inferred" not in listed[0]
    assert [found(f"state={state}") for state in ("open", "restored", "withdrawn")] == [3, 1, 0]
    assert (found("state=open&state=restored"), found("kind=down"), found("severity=minor")) == (4, 1, 3)
    assert (found(f"caused_by={cause.pk}"), found("caused_by=77"), found("planned=true")) == (1, 0, 0)
    assert (found("product=shop&environment=production"), found("environment=test"), found("search=checkout")) == (
        4,
        0,
        4,
    )
    page = api.get(f"{INCIDENTS}?page_size=3&ordering=restored_at")
    assert len(page["results"]) == 3 and page["results"][0]["state"] == "restored"
    api.get(f"{INCIDENTS}?colour=red", 400)


def test_another_teams_incident_does_not_exist(api: Caller, shop: Shop) -> None:
    incident = report(shop)
    stranger = Caller(someone("release_manager", team=ProductFactory(key="other").team))
    url = f"{INCIDENTS}{incident}/"
    assert stranger.get(INCIDENTS)["results"] == []
    stranger.get(url, 404)
    stranger.patch(url, {"title": "Mine"}, 404, if_match="*")
    stranger.post(f"{url}withdraw/", {"reason": "Mine."}, 404)
    api.get(f"{INCIDENTS}INC-999999/", 404)
    api.get(f"{INCIDENTS}{incident.pk}/", 404)
