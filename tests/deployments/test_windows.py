"""Windows and freezes: who makes them, what is refused, and the times that are laid out for them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from deployments.commands import create_window, edit_window, lay_out_windows
from deployments.commands.windows import AHEAD, LEFT, WINDOW_TRANSITIONS
from deployments.models import Occurrence, Window
from releasemgmt.catalog.models import Environment
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Invalid, NotPermitted, WrongState
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.deployments.windows import NIGHTLY, chair, freeze, left_alone, on, window
from tests.deployments.world import HOUR, Shop, kinds
from tests.factories import EnvironmentFactory, ProductFactory, someone
from tests.work import work

DAY = timedelta(days=1)


def moved(row: Window, transition: str, **fields: Any) -> Window:
    act = WINDOW_TRANSITIONS.get(transition)
    return act(row, **fields) if act else fire(row, transition, **fields)


# --- who ---


@pytest.mark.parametrize("kind", ["allow", "deny"])
def test_what_a_chair_makes_is_in_force_at_once(shop: Shop, kind: str) -> None:
    made = window(shop, kind)
    assert (made.state, on(made)) == ("in_force", ["03-02 09:00-03-02 10:00"])
    assert (kinds(made), made.owner) == (["create"], chair(shop))


@pytest.mark.parametrize("role", ["release_manager", "deployer"])
def test_a_freeze_that_others_ask_for_waits_for_a_chair(shop: Shop, role: str, now: datetime) -> None:
    asked = freeze(shop, actor=someone(role, team=shop.product.team))
    assert (asked.state, on(asked)) == ("requested", [])
    asked = moved(asked, "approve", actor=chair(shop), now=now)
    assert (asked.state, on(asked)) == ("in_force", ["03-02 09:00-03-02 10:00"])
    assert kinds(asked) == ["approve", "create"]


@pytest.mark.parametrize("role", ["release_manager", "deployer"])
def test_maintenance_windows_are_for_chairs(shop: Shop, role: str) -> None:
    with left_alone(NotPermitted):
        window(shop, actor=someone(role, team=shop.product.team))


@pytest.mark.parametrize("role", ["contributor", "cab_member", "auditor", "administrator", "service"])
@pytest.mark.parametrize("kind", ["allow", "deny"])
def test_others_do_not_even_ask(shop: Shop, role: str, kind: str) -> None:
    somebody = someone(role, team=shop.product.team)
    with left_alone(NotPermitted):
        window(shop, kind, actor=somebody)


def test_a_window_for_every_product_is_for_those_who_are_chairs_everywhere(shop: Shop) -> None:
    with left_alone(NotPermitted):
        window(shop, product=None)
    assert window(shop, product=None, actor=someone("cab_chair")).state == "in_force"


def test_nobody_approves_the_freeze_that_they_asked_for(shop: Shop, now: datetime) -> None:
    both = someone("deployer", team=shop.product.team)
    asked = freeze(shop, actor=both)
    both.role_assignments.update(role="cab_chair")
    for transition, fields in (("approve", {}), ("decline", {"reason": "No."})):
        with left_alone(NotPermitted, asked):
            moved(asked, transition, actor=both, now=now, **fields)
    assert moved(asked, "decline", actor=chair(shop), now=now, reason="No.").state == "declined"


def test_who_asked_takes_it_back_and_nobody_else(shop: Shop, now: datetime) -> None:
    asked = freeze(shop, actor=shop.manager)
    with left_alone(NotPermitted, asked):
        moved(asked, "withdraw", actor=shop.deployer, now=now)
    assert moved(asked, "withdraw", actor=shop.manager, now=now).state == "withdrawn"


@pytest.mark.parametrize("role", ["release_manager", "deployer", "contributor", "administrator"])
def test_only_chairs_edit_and_end_them(shop: Shop, role: str, now: datetime) -> None:
    made, somebody = window(shop), someone(role, team=shop.product.team)
    with left_alone(NotPermitted, made):
        edit_window(made, changes={"name": "Mine"}, actor=somebody, now=now)
    with left_alone(NotPermitted, made):
        moved(made, "end", actor=somebody, now=now, reason="Mine.")


# --- what is refused ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Europe/Atlantis"),
        ("rule", "FREQ=HOURLY"),
        ("rule", "FREQ=DAILY;BYHOUR=1,2"),
        ("rule", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        ("rule", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=7"),
        ("rule", "every night"),
        ("duration_minutes", 0),
        ("duration_minutes", 367 * 24 * 60),
        ("first_on", date(1999, 12, 31)),
        ("first_on", date(2026, 3, 1)),
        ("tier", "production"),
        ("kind", "perhaps"),
        ("name", ""),
        ("reason", ""),
    ],
)
def test_what_can_not_be_a_window_is_refused_in_no_time(shop: Shop, field: str, value: Any, now: datetime) -> None:
    made = window(shop)
    terms = {"first_on": NOW.date(), "start_time": NOW.time(), "duration_minutes": 60, "kind": "allow"}
    scope = {"product": shop.product, "environment": shop.production}
    with left_alone(Invalid, made) as caught, work() as done:
        new = {"name": "New", "reason": "So.", **terms, **scope, field: value}
        create_window(actor=chair(shop), now=now, **new)
    assert list(caught.value.errors) == [field]
    assert done.calls < 50_000  # with all that surrounds it
    if field not in ("tier", "kind"):
        with left_alone(Invalid, made):
            edit_window(made, changes={field: value}, actor=chair(shop), now=now)


@pytest.mark.parametrize(("rule", "minutes"), [("FREQ=DAILY", 24 * 60), ("FREQ=WEEKLY;BYDAY=SA,SU", 25 * 60)])
def test_a_rule_that_would_never_end_is_refused(shop: Shop, rule: str, minutes: int) -> None:
    with left_alone(Invalid) as caught:
        freeze(shop, rule=rule, duration_minutes=minutes)
    assert list(caught.value.errors) == ["duration_minutes"]


def test_an_environment_that_the_product_does_not_use_is_refused(shop: Shop) -> None:
    elsewhere: Environment = EnvironmentFactory(key="elsewhere", tier="production")
    with left_alone(Invalid) as caught:
        window(shop, environment=elsewhere)
    assert list(caught.value.errors) == ["environment"]


@pytest.mark.parametrize("transition", ["decline", "withdraw"])
def test_what_is_not_in_force_is_not_edited(shop: Shop, transition: str, now: datetime) -> None:
    asked = freeze(shop, actor=shop.manager)
    reason = {"reason": "No."} if transition == "decline" else {}
    asked = moved(asked, transition, actor=chair(shop) if reason else shop.manager, now=now, **reason)
    with left_alone(WrongState, asked):
        edit_window(asked, changes={"name": "Again"}, actor=chair(shop), now=now)


# --- its times as rows ---


def test_times_are_laid_out_for_more_than_a_year(shop: Shop, now: datetime) -> None:
    nightly = window(shop, **NIGHTLY)
    assert on(nightly)[:2] == ["03-02 22:00-03-03 06:00", "03-03 22:00-03-04 06:00"]
    assert (nightly.occurrences.count(), nightly.laid_out_until) == (AHEAD.days, now + AHEAD)


def test_one_that_is_on_already_is_laid_out_too(shop: Shop) -> None:
    assert on(window(shop, **NIGHTLY, first_on=NOW.date() - DAY, time_zone="America/Los_Angeles"))[0] == (
        "03-02 06:00-03-02 14:00"
    )


@pytest.mark.parametrize(
    ("rule", "found"),
    [("", 1), ("FREQ=WEEKLY;COUNT=3", 3), ("FREQ=WEEKLY;UNTIL=20260401", 5)],
    ids=["once", "count", "until"],
)
def test_what_comes_to_an_end_is_laid_out_whole(shop: Shop, rule: str, found: int) -> None:
    made = window(shop, rule=rule)
    assert (made.occurrences.count(), made.laid_out_until) == (found, None)
    assert lay_out_windows(NOW + 1000 * DAY) == 0


def test_one_that_lies_beyond_the_horizon_is_laid_out_when_it_comes_near(shop: Shop, now: datetime) -> None:
    far = window(shop, first_on=(NOW + 500 * DAY).date())
    assert (on(far), far.laid_out_until) == ([], now + AHEAD)
    assert lay_out_windows(now + 120 * DAY) == 1
    far.refresh_from_db()
    assert (len(on(far)), far.laid_out_until) == (1, None)


def test_the_tick_lays_out_what_follows_and_each_time_once(shop: Shop, now: datetime) -> None:
    nightly = window(shop, **NIGHTLY)
    before = kinds(nightly)
    assert lay_out_windows(now + AHEAD - LEFT) == 0
    later = now + AHEAD - LEFT + HOUR
    assert (lay_out_windows(later), lay_out_windows(later)) == (1, 0)
    nightly.refresh_from_db()
    begins = list(nightly.occurrences.order_by("starts_at").values_list("starts_at", flat=True))
    assert {b - a for a, b in zip(begins, begins[1:], strict=False)} == {DAY}
    assert (nightly.laid_out_until, begins[-1] + DAY >= later + AHEAD) == (later + AHEAD, True)
    assert (kinds(nightly), nightly.revision) == (before, 1)


def test_another_rule_moves_what_is_ahead_and_leaves_what_is_over(shop: Shop, now: datetime) -> None:
    nightly = window(shop, **NIGHTLY)
    later = now + 2 * DAY
    edit_window(nightly, changes={"rule": "FREQ=WEEKLY;BYDAY=SA"}, actor=chair(shop), now=later)
    assert on(nightly)[:4] == [
        "03-02 22:00-03-03 06:00",
        "03-03 22:00-03-04 06:00",
        "03-07 22:00-03-08 06:00",
        "03-14 22:00-03-15 06:00",
    ]


def test_one_that_is_on_is_cut_short_or_made_longer(shop: Shop, now: datetime) -> None:
    made = window(shop, duration_minutes=180)
    edit_window(made, changes={"duration_minutes": 240}, actor=chair(shop), now=now + HOUR)
    assert on(made) == ["03-02 09:00-03-02 13:00"]
    edit_window(made, changes={"first_on": date(2026, 3, 5)}, actor=chair(shop), now=now + HOUR)
    assert on(made) == ["03-02 09:00-03-02 10:00", "03-05 09:00-03-05 13:00"]


def test_another_name_moves_nothing(shop: Shop, now: datetime) -> None:
    nightly = window(shop, **NIGHTLY)
    before = list(Occurrence.objects.order_by("pk").values())
    renamed = edit_window(nightly, changes={"name": "Every night"}, actor=chair(shop), now=now + DAY)
    assert (renamed.name, renamed.revision) == ("Every night", 2)
    assert list(Occurrence.objects.order_by("pk").values()) == before


def test_the_end_leaves_what_is_over_and_cuts_what_is_on(shop: Shop, now: datetime) -> None:
    nightly = window(shop, **NIGHTLY)
    ended = moved(nightly, "end", actor=chair(shop), now=now + DAY + 14 * HOUR, reason="Moved to another night.")
    assert (ended.state, ended.laid_out_until) == ("ended", None)
    assert on(ended) == ["03-02 22:00-03-03 06:00", "03-03 22:00-03-03 23:00"]
    assert Event.objects.get(stream=ended.stream, seq=ended.event_seq).data["reason"] == "Moved to another night."
    assert moved(nightly, "end", actor=chair(shop), now=now + 2 * DAY, reason="Again.").revision == ended.revision


def test_windows_of_other_teams_products_are_out_of_sight(shop: Shop) -> None:
    mine, everybodys = window(shop), window(shop, product=None, actor=someone("cab_chair"))
    theirs = ProductFactory()
    other = window(shop, product=theirs, environment=None, actor=someone("cab_chair"))
    assert set(Window.objects.visible_to(shop.author)) == {mine, everybodys}
    assert other in Window.objects.visible_to(someone("auditor"))
