"""The pages of incidents: reported, restored, confirmed; and a product's timeline."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deployments.commands import report_incident, withdraw_incident
from deployments.models import Incident
from releasemgmt.accounts.commands import system
from releasemgmt.releases.commands.importing import import_past
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.test_incidents import correct, deployed, report
from tests.deployments.world import HOUR, Shop
from tests.factories import ProductFactory, someone
from tests.releases.history import past

ADD = "/admin/deployments/incident/add/"
LATER = timedelta(seconds=17)


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def desk(client: Client, shop: Shop) -> Client:
    client.force_login(shop.author)
    return client


def address(incident: Incident, rest: str = "") -> str:
    return reverse("admin:deployments_incident_change", args=[incident.pk]) + rest


def page(desk: Client, incident: Incident, rest: str = "") -> str:
    return desk.get(address(incident, rest)).content.decode()


def timeline(desk: Client, shop: Shop, query: str = "") -> str:
    where = reverse("admin:catalog_product_timeline", args=[shop.product.pk])
    answer = desk.get(f"{where}?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_incident_is_reported_and_restored_by_forms(desk: Client, shop: Shop) -> None:
    facts = {"title": "No checkout", "kind": "down", "severity": "major", "started_at": "2026-03-02T08:30"}
    where = {"product": shop.product.pk, "environment": shop.production.pk}
    assert desk.post(ADD, {**facts, **where, "restored_at": "2026-03-02T08:00"}).status_code == 400
    assert desk.post(ADD, {**facts, **where, "started_at": "1969-12-31T08:00"}).status_code == 400
    assert not Incident.objects.exists()
    assert desk.post(ADD, {**facts, **where}).status_code == 302
    incident = Incident.objects.get()
    assert "Shop is down in Production" in page(desk, incident)
    desk.post(address(incident, "restore/"), {"restored_at": "2026-03-02T08:45"})
    shown = page(desk, incident)
    assert "15\N{NO-BREAK SPACE}minutes" in shown and "Restored…" not in shown and "What was known when" in shown


def test_components_are_those_of_the_product(desk: Client, shop: Shop) -> None:
    other = ProductFactory(key="lab", name="Lab", team=shop.product.team, components=["press"])

    def offered(answer: Any) -> list[str]:
        return [each for each in ("api", "press") if re.search(rf">\s*{each}\s*<", answer.content.decode())]

    none, ours, theirs = (desk.get(f"{ADD}?product={pk}") for pk in ("", shop.product.pk, other.pk))
    assert [offered(answer) for answer in (none, ours, theirs)] == [[], ["api"], ["press"]]
    assert "Choose the product" in none.content.decode()
    theirs_alone = ProductFactory(key="vault", components=["api"]).pk  # of another team
    for odd in ("x", "9" * 5_000, "-1", str(theirs_alone)):
        assert offered(desk.get(ADD, {"product": odd})) == []
    facts = {"title": "", "product": other.pk, "components": [shop.product.components.get(key="api").pk]}
    refused = desk.post(ADD, facts)
    assert offered(refused) == ["press"] and not Incident.objects.exists()
    for name in ("title", "components"):
        assert re.search(rf'aria-describedby="id_{name}_error"', refused.content.decode())
        assert f'id="id_{name}_error"' in refused.content.decode()


def test_the_list_is_narrowed_to_those_that_go_on(desk: Client, shop: Shop) -> None:
    report(shop, title="Goes on")
    report(shop, title="Is over", restored_at=NOW)
    withdraw_incident(report(shop, title="Never was"), reason="A test", actor=shop.author, now=NOW)
    titles = {"Goes on", "Is over", "Never was"}
    for state, expected in {
        "open": {"Goes on"},
        "restored": {"Is over"},
        "withdrawn": {"Never was"},
        "": titles,
    }.items():
        html = desk.get(reverse("admin:deployments_incident_changelist"), {"state": state} if state else {})
        assert {title for title in titles if title in html.content.decode()} == expected, state


def test_saved_again_it_is_the_same(desk: Client, shop: Shop) -> None:
    incident = report(shop, started_at=NOW - HOUR + LATER)
    form = desk.get(address(incident, "edit/")).context["form"]
    sent = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in sent.items() if value is not None}
    sent["started_at"] = "2026-03-02T08:00"
    desk.post(address(incident, "edit/"), {**sent, "components": []})
    assert Incident.objects.get().revision == incident.revision
    desk.post(address(incident, "edit/"), {**sent, "components": [], "title": "Other"})
    assert (Incident.objects.get().title, Incident.objects.get().started_at) == ("Other", incident.started_at)


def test_what_is_inferred_is_confirmed_by_a_button(desk: Client, shop: Shop) -> None:
    cause = deployed(shop, "1.0")
    incident = report(shop)
    shown = page(desk, incident)
    assert "Inferred" in shown and f'value="{cause.pk}"' in shown
    stranger = ProductFactory(key="other")
    other = report_incident(
        product=stranger,
        environment=shop.production,
        title="Theirs",
        kind="down",
        started_at=NOW,
        actor=someone("contributor", team=stranger.team),
        now=NOW,
    )
    sent = {"deployment": cause.pk}
    assert desk.post(address(other, "confirm/cause/"), sent).status_code == 404
    for what, deployment in (("cause", ""), ("cause", "77"), ("weather", cause.pk)):
        assert desk.post(address(incident, f"confirm/{what}/"), {"deployment": deployment}).status_code == 404
    assert Incident.objects.get(pk=incident.pk).caused_by is None
    desk.post(address(incident, "confirm/cause/"), sent)
    assert Incident.objects.get(pk=incident.pk).cause_confirmed_by == shop.author
    assert "confirmed by" in page(desk, incident)
    assert "Incidents that it caused" in desk.get(f"/admin/deployments/deployment/{cause.pk}/change/").content.decode()


def test_whoever_only_reads_is_offered_nothing(desk: Client, shop: Shop) -> None:
    incident = report(shop)
    desk.force_login(someone("auditor", team=shop.product.team))
    shown = page(desk, incident)
    assert "No checkout" in shown and "restore/" not in shown and "withdraw/" not in shown
    before = Incident.objects.values().get()
    desk.post(address(incident, "withdraw/"), {"reason": "No."})
    assert Incident.objects.values().get() == before


def test_one_that_was_recorded_in_error_says_so(desk: Client, shop: Shop) -> None:
    incident = report(shop)
    desk.post(address(incident, "withdraw/"), {"reason": "It was the monitor."})
    shown = page(desk, incident)
    assert "It counts nowhere" in shown and "edit/" not in shown
    assert "No checkout" not in timeline(desk, shop)


def test_the_timeline_tells_what_happened_when(desk: Client, shop: Shop) -> None:
    assert "Nothing happened in this time" in timeline(desk, shop)
    cause = deployed(shop, "1.0")
    incident = report(shop)
    shown = timeline(desk, shop)
    assert shown.count('rm-mark is-deploy"') == 2 and "is-down is-open" in shown  # one of them in the legend
    assert ">goes on<" in shown and incident.number in shown
    correct(shop, incident, caused_by=cause, restored_at=NOW)
    shown = timeline(desk, shop, "span=week&on=2026-03-02")
    assert "is-harmful" in shown and "Succeeded, caused an incident" in shown and "24 Feb" in shown
    assert "No checkout" not in timeline(desk, shop, "span=week&on=2026-02-20")
    for odd in ("span=year", "on=2026-02-31", "on=0001-01-01", "on=9999-12-31", "span=quarter"):
        timeline(desk, shop, odd)


def test_a_past_release_stands_for_its_deployment(desk: Client, shop: Shop) -> None:
    given: list[Any] = [past("0.9", 1, day=5)]
    import_past(shop.product, releases=given, actor=system(), now=NOW)
    shown = timeline(desk, shop, "on=2026-01-20")
    assert "0.9</a>" in shown and "Imported" in shown and shown.count('rm-mark is-deploy"') == 2
    assert "0.9" not in timeline(desk, shop, "on=2026-03-02")


def test_the_timeline_costs_the_same_however_much_happened(desk: Client, shop: Shop) -> None:
    costs = []
    for hours in (1, 2):
        report(shop, started_at=NOW - hours * HOUR)
        deployed(shop, f"{hours}.0", at=NOW - (hours + 1) * HOUR)
        timeline(desk, shop)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            timeline(desk, shop)
        costs.append(len(asked))
    assert costs[0] == costs[1]
