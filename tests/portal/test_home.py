"""The home page: what waits for somebody in the order in which they vote, what they asked for, and what it costs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.commands import delegate, open_round, submit, watch_quorums
from approvals.models import ApprovalPolicy, ApprovalRound
from deployments.commands import report_incident, withdraw_incident
from deployments.models import Incident
from releasemgmt.accounts.commands import deactivate, system
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.portal.home import SHOWN
from tests.approvals.boards import weekly
from tests.approvals.world import World, say
from tests.factories import EnvironmentFactory, ProductFactory, someone
from tests.portal.test_pages import signed_in

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST = 12


@pytest.fixture
def world(db: None, settings: Any) -> World:
    """Releases get tested without their suites: the gates of releases are held by their own tests."""
    ours: dict[str, list[str]] = {"releases.Release.build": [], "releases.Release.pass_integration": []}
    settings.WORKFLOW_GATES = {**settings.WORKFLOW_GATES, **ours}
    settings.RISK_FACTS = []
    return World()


@pytest.fixture
def today() -> datetime:
    """The clock of the page."""
    return timezone.now()


def home(person: User) -> str:
    return str(signed_in(person).get("/admin/").content.decode())


def section(html: str, name: str) -> str:
    """The text of one part of the page; empty where it is not there."""
    found = re.search(rf'aria-labelledby="{name}">(.*?)</section>', html, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split()) if found else ""


def lend(giver: User, to: User, role: str, today: datetime) -> None:
    delegate(to, roles=[role], starts_at=today - DAY, ends_at=today + DAY, actor=giver, now=today)


def due(round: ApprovalRound, at: datetime) -> ApprovalRound:
    ApprovalRound.objects.filter(pk=round.pk).update(due_at=at)
    return ApprovalRound.objects.get(pk=round.pk)


def test_votes_stand_by_the_day_they_are_due_then_risk_then_planned_start(world: World, today: datetime) -> None:
    def asked(title: str, *, days: int, risk: str = "low", hours: int = 24) -> None:
        start = today + hours * HOUR
        change = world.assessed(title=title, risk=risk, planned_start=start, planned_end=start + HOUR)
        due(world.round(change), today.replace(hour=12) + days * DAY)

    asked("last", days=3, risk="medium")
    asked("third", days=2, hours=48)
    asked("second", days=2, hours=36)
    asked("first", days=2, risk="medium", hours=72)
    member = world.someone("release_manager", "cab_member")
    rows = section(home(member), "votes")
    assert re.findall(r"first|second|third|last", rows) == ["first", "second", "third", "last"]
    assert "Medium risk" in rows and "Low risk" in rows and "days left" in rows and "planned for" in rows


def test_a_row_says_in_whose_place_one_votes(world: World, today: datetime) -> None:
    deputy, colleague = world.someone("contributor"), world.someone("release_manager")
    world.round(world.release())
    for person in (deputy, colleague):
        lend(world.signer, person, "release_manager", today)
    assert section(home(deputy), "votes").split("1.0 ")[1].startswith(f"for {world.signer} , asked by")
    assert f"also for {world.signer} , asked by" in section(home(colleague), "votes")
    assert f"for {world.signer}" not in section(home(world.signer), "votes")


def test_a_pre_approval_says_what_it_is_about_and_has_no_risk(world: World, today: datetime) -> None:
    open_round(world.recipe(), actor=world.manager, now=today)
    open_round(ReleaseModel.objects.get(key="continuous"), actor=world.manager, now=today)
    rows = section(home(world.chair), "votes")
    assert "Disk swap (version 1) Pre-approval of a change model asked by" in rows
    assert "Continuous (version 1) Pre-approval of a release model asked by" in rows
    assert "risk" not in rows and "planned" not in rows


def test_who_asked_sees_who_is_waited_for(world: World, today: datetime) -> None:
    round = world.round(world.release(database_change="irreversible"), now=today)
    assert "waits for 2 × CAB member and 1 × CAB chair" in section(home(world.manager), "requested")
    say(round, world.members[0], now=today)
    rows = section(home(world.author), "requested")
    assert "waits for 1 × CAB member and 1 × CAB chair" in rows and "Open" in rows
    assert section(home(world.chair), "requested") == ""


def test_who_asked_hears_for_a_week_how_it_ended(world: World, today: datetime) -> None:
    for version, ago in (("1.0", HOUR), ("2.0", 8 * DAY)):
        round = world.round(world.release(version, database_change="irreversible"), now=today - 9 * DAY)
        say(round, world.chair, "reject", now=today - ago)
    rows = section(home(world.manager), "requested")
    assert "1.0 1 hour ago Rejected" in rows and "2.0" not in rows


def test_a_lost_quorum_stands_first_for_who_asked(world: World, today: datetime) -> None:
    world.round(world.release("1.0"), now=today)
    round = world.round(world.release("2.0", database_change="irreversible"), now=today + HOUR)
    deactivate(world.chair, actor=system(), now=today)
    assert watch_quorums(today) == 1
    rows = section(home(world.author), "requested")
    assert rows.startswith(f"What I asked for 2 {round.subject}")
    assert "Too few people are left who could approve. Quorum lost" in rows


def test_conditions_that_nobody_has_met_are_listed(world: World, today: datetime) -> None:
    round = world.round(world.release(), now=today)
    say(round, world.signer, conditions=["Tell the shops", "Warm the cache"], now=today)
    rows = section(home(world.author), "conditions")
    assert rows.startswith("Conditions to meet 2 Tell the shops") and "Warm the cache" in rows
    assert f"asked by {world.signer}" in rows
    assert section(home(World().author), "conditions") == ""


def down(world: World, title: str, today: datetime, **facts: Any) -> Incident:
    given = {"title": title, "kind": "down", "severity": "critical", "environment": EnvironmentFactory(), **facts}
    return report_incident(product=world.product, actor=world.author, started_at=today - HOUR, now=today, **given)


def test_incidents_that_are_open_stand_first(world: World, today: datetime) -> None:
    for n in range(SHOWN + 1):
        down(world, f"Slow {n}", today, kind="degraded", severity="minor")
    last = down(world, "No orders", today)
    down(world, "Over", today, restored_at=today)
    withdraw_incident(down(world, "Never was", today), reason="A test", actor=world.author, now=today)
    html = home(world.author)
    rows = section(html, "incidents")
    assert rows.startswith(
        f"Open incidents All incidents {last} {world.product} is down in {last.environment} No orders, since"
    )
    assert "Critical" in rows and rows.count("is degraded") == SHOWN - 1 and "Slow 0 " not in rows
    assert "Over" not in rows and "Never was" not in rows
    assert html.index('id="incidents"') < html.index('id="votes"')
    product = signed_in(world.author).get(f"/admin/catalog/product/{world.product.pk}/change/").content.decode()
    assert "Open incidents" in product and "No orders, since" in product and "Never was" not in product


def test_incidents_of_other_teams_are_not_told(world: World, today: datetime) -> None:
    down(world, "No orders", today)
    stranger = someone("contributor", team=ProductFactory(key="other").team)
    assert section(home(stranger), "incidents") == "" and "No orders" not in home(stranger)
    assert "No orders" in section(home(someone("auditor")), "incidents")


def test_where_releases_stand_is_told_when_no_vote_waits(world: World, today: datetime) -> None:
    round = world.round(world.release(), now=today)
    assert section(home(world.signer), "releases") == ""
    say(round, world.signer, now=today)
    assert "1 Integration-tested" in section(home(world.signer), "releases")


def fill(world: World, today: datetime, reviewer: User, numbers: range) -> None:
    """For each number a release with a riding change and a condition, an emergency, and what the reviewer asked for."""
    for n in numbers:
        release = world.release(f"{n}.0", database_change="irreversible", author=f"{n}@example.org")
        world.assessed(title="Rides along", releases=[release], planned_start=today, planned_end=today + HOUR)
        say(world.round(release, now=today), world.members[0], conditions=["Warm the cache"], now=today)
        submit(world.emergency(), actor=world.author, now=today)
        world.assessed(title=f"Mine {n}", requested_by=reviewer)


def statements(reviewer: User) -> list[str]:
    client = signed_in(reviewer)
    client.get("/admin/")
    with CaptureQueriesContext(connection) as asked:
        client.get("/admin/")
    return [query["sql"] for query in asked.captured_queries]


def test_thirty_rounds_among_two_hundred_policies_cost_twelve_statements(world: World, today: datetime) -> None:
    elsewhere = {"state": "accepted", "bootstrap": True, "stages": [], "conditions": {"team": ["elsewhere"]}}
    ApprovalPolicy.objects.bulk_create(ApprovalPolicy(key=f"policy-{n}", name=f"{n}", **elsewhere) for n in range(200))
    reviewer = world.someone("cab_member")
    weekly(world, key="ecab", kind="emergency", rule="", members=[reviewer, *world.members], now=today - DAY)
    lend(world.chair, reviewer, "cab_chair", today)
    open_round(world.recipe(), actor=world.manager, now=today)
    fill(world, today, reviewer, range(1))
    down(world, "No orders", today)
    few = statements(reviewer)
    fill(world, today, reviewer, range(1, 10))
    down(world, "No payments", today)
    many = statements(reviewer)
    assert ApprovalRound.objects.open().count() > 30
    html = home(reviewer)
    assert html.count(f"for {world.chair}") > 20
    assert "No payments" in section(html, "incidents") and section(html, "requested").startswith("What I asked for 10")
    assert section(html, "conditions").startswith("Conditions to meet 10")
    assert len(many) <= MOST, "\n".join(many)
    assert len(many) == len(few)
