"""The pages of windows: made by a form that shows the next times first, read, edited and ended."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deployments.models import Window
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.windows import NIGHTLY, chair, freeze, rows, window
from tests.deployments.world import Shop

LIST, ADD = "/admin/deployments/window/", "/admin/deployments/window/add/"


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def desk(client: Client, shop: Shop) -> Client:
    client.force_login(chair(shop))
    return client


def filled(shop: Shop, **fields: Any) -> dict[str, Any]:
    scope = {"kind": "allow", "product": shop.product.pk, "environment": shop.production.pk, "tier": ""}
    said = {"name": "Nights", "reason": "Few people shop.", "owner": chair(shop).pk}
    terms = {"first_on": "2026-03-02", "start_time": "22:00", "duration_minutes": 480, "rule": "FREQ=WEEKLY"}
    return {**scope, **said, **terms, "time_zone": "Asia/Kathmandu", **fields}


def address(row: Window, rest: str = "") -> str:
    return reverse("admin:deployments_window_change", args=[row.pk]) + rest


def test_the_next_times_are_shown_before_it_is_made(desk: Client, shop: Shop) -> None:
    before = rows()
    shown = desk.post(ADD, filled(shop, preview="1")).content.decode()
    assert "Mon 2 Mar 2026, 22:00" in shown and "Mon 2 Mar, 16:15" in shown
    assert rows() == before
    made = desk.post(ADD, filled(shop), follow=True).content.decode()
    assert (Window.objects.get().state, "every week, 22:00" in made) == ("in_force", True)


@pytest.mark.parametrize("preview", [{}, {"preview": "1"}])
@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("rule", "FREQ=HOURLY", "at most once a day"),
        ("time_zone", "Europe/Atlantis", "There is no time zone"),
        ("first_on", "2026-02-02", "over already"),
        ("reason", "", "required"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    desk: Client, shop: Shop, field: str, value: str, why: str, preview: dict[str, str]
) -> None:
    before = rows()
    answer = desk.post(ADD, filled(shop, **{"rule": "", field: value}, **preview))
    assert (answer.status_code, rows()) == (400, before)
    assert why in str(answer.context["form"].errors[field])


def test_who_may_only_ask_is_offered_a_freeze(client: Client, shop: Shop) -> None:
    client.force_login(shop.deployer)
    assert [kind for kind, _label in client.get(ADD).context["form"].fields["kind"].choices] == ["deny"]
    client.post(ADD, filled(shop, kind="deny", owner=shop.deployer.pk))
    assert Window.objects.get().state == "requested"


def test_its_page_says_when_it_is_on(desk: Client, shop: Shop) -> None:
    nightly = window(shop, **NIGHTLY | {"start_time": time(10)})
    with time_machine.travel(NOW + timedelta(hours=2), tick=False):
        shown = desk.get(address(nightly)).content.decode()
    assert "On now" in shown and "every day, 10:00" in shown and "shop in production" in shown.lower()


def test_one_that_does_not_come_again_says_what_that_means(desk: Client, shop: Shop) -> None:
    once = window(shop)
    with time_machine.travel(NOW + timedelta(hours=2), tick=False):
        assert "nothing starts in its scope outside of a window" in desk.get(address(once)).content.decode()


def test_it_is_edited_and_ended(desk: Client, shop: Shop) -> None:
    made = window(shop)
    edit = filled(shop, name="Renamed", rule="")
    shown = desk.post(address(made, "edit/"), {**edit, "preview": "1"}).content.decode()
    assert "Mon 2 Mar 2026, 22:00" in shown and Window.objects.get().name == "Nights"
    desk.post(address(made, "edit/"), edit)
    assert Window.objects.get().name == "Renamed"
    desk.post(address(made, "transition/end/"), {"reason": "Not needed."})
    assert Window.objects.get().state == "ended"


def test_a_list_asks_as_much_for_many_as_for_few(desk: Client, shop: Shop) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert desk.get(LIST).status_code == 200
        return len(captured)

    window(shop)
    few = statements()
    for begin in range(1, 9):
        freeze(shop, begin)
    assert statements() == few


def test_the_page_of_a_plan_says_from_when_it_may_start(desk: Client, shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"), latest_start=NOW + timedelta(days=1))
    page = reverse("admin:deployments_deploymentplan_change", args=[plan.pk])
    assert "May start from" not in desk.get(page).content.decode()
    freeze(shop, 0, 9)
    shown = desk.get(page).content.decode()
    assert "May start from" in shown and "18:00" in shown
