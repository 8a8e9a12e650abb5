"""The population report: nothing of a period is left out, gaps are shown, and each deployment says what covered it."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deployments.models import Deployment
from releasemgmt.portal import population
from releasemgmt.portal.population import Line, Period
from releasemgmt.releases.commands import create_release, write_document
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from tests.approvals.world import World
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.portal.evidence_world import deployed, only_approvals, report
from tests.portal.test_pages import signed_in
from tests.web.world import API, Caller

DAY = timedelta(days=1)
PERIOD = Period(NOW - DAY, NOW + DAY)
ASKED = {"from": PERIOD.begin.isoformat(), "to": PERIOD.end.isoformat()}


@pytest.fixture
def world(db: None, settings: Any) -> World:
    only_approvals(settings)
    return World()


@pytest.fixture(autouse=True)
def at_that_time() -> Any:
    """Events are recorded at the instant at which the commands run."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def release(world: World, version: str) -> Release:
    return create_release(product=world.product, version=version, actor=world.author, now=NOW)[0]


def told(user: Any, period: Period = PERIOD, **options: Any) -> list[Line]:
    """The records; there may be gaps before them, where PostgreSQL counts on from the test before this one."""
    return [line for line in population.page(user, period, **options)[0] if line.kind != "gap"]


def deployments(world: World) -> list[Line]:
    return [line for line in told(world.manager) if line.kind == "deployment"]


def test_everything_is_there_in_number_order(world: World) -> None:
    first = deployed(world)
    gone = fire(release(world, "2.0"), "cancel", reason="No.", actor=world.manager, now=NOW)
    found = told(world.manager)
    change = first.changes.get()
    deployment = Deployment.objects.get()
    assert [(line.kind, line.number, line.state) for line in found] == [
        ("release", first.number, "deployed"),
        ("release", gone.number, "cancelled"),
        ("change", change.number, "review"),
        ("deployment", str(deployment.pk), "succeeded"),
    ]
    assert (found[-1].release, found[-1].environment) == (first.number, "production")


def test_a_planned_deployment_names_its_round(world: World) -> None:
    round = deployed(world).rounds.get()
    (line,) = deployments(world)
    assert (line.covered_by, line.cover) == ({"round": round.pk, "digest": round.digest}, f"round {round.pk}")


def test_a_report_of_what_nobody_accepted_is_unauthorised(world: World) -> None:
    report(world, world.release("3.0"))
    (line,) = deployments(world)
    change = next(line for line in told(world.manager) if line.kind == "change" and line.unauthorised)
    assert (line.cover, line.unauthorised) == (f"unauthorised, on record as {change.number}", True)
    assert (change.state, line.covered_by["change"]) == ("review", change.number)


def test_a_report_after_the_content_changed_is_covered_by_nothing(world: World, at_that_time: Any) -> None:
    done = deployed(world)
    at_that_time.shift(timedelta(minutes=1))
    Release.objects.filter(pk=done.pk).update(state="accepted")  # as if another production were still to come
    write: dict[str, Any] = {"kind": "impact", "body": "Else.", "actor": world.author, "void_signoffs": True}
    write_document(Release.objects.get(pk=done.pk), now=NOW, **write)
    report(world, done)
    later = {"started_at": NOW + timedelta(minutes=2), "finished_at": NOW + timedelta(minutes=2)}
    report(world, done, **later)
    said = [line.cover for line in deployments(world)]
    assert said[0] == said[1] == f"round {done.rounds.get().pk}"
    assert said[2] == "no sign-off held"


def test_gaps_in_the_numbers_are_shown(world: World) -> None:
    made = [release(world, str(n)) for n in range(6)]
    for each in (made[1], made[2], made[4]):
        Release.objects.filter(pk=each.pk).delete()
    found, _ = population.page(world.manager, PERIOD)
    lines = [(line.kind, line.number) for line in found]
    assert lines[lines.index(("release", made[0].number)) :] == [
        ("release", made[0].number),
        ("gap", f"{made[1].number} to {made[2].number}"),
        ("release", made[3].number),
        ("gap", made[4].number),
        ("release", made[5].number),
    ]
    paged, after = [], ""
    for _ in range(3):
        found, after = population.page(world.manager, PERIOD, after=after, size=1)
        paged += [(line.kind, line.number) for line in found]
    assert paged == lines


def test_another_teams_numbers_are_no_gap_and_not_shown(world: World) -> None:
    mine = release(world, "1")
    other = ProductFactory()
    create_release(product=other, version="1", actor=someone("contributor", team=other.team), now=NOW)
    last = release(world, "2")
    assert [line.number for line in told(world.manager)] == [mine.number, last.number]
    assert len(told(someone("auditor"))) == 3
    assert len(told(someone("auditor"), PERIOD._replace(product=other))) == 1


def test_what_lies_outside_of_the_period_is_left_out(world: World) -> None:
    release(world, "1")
    assert told(world.manager, Period(NOW + DAY, NOW + 2 * DAY)) == []
    assert told(world.manager, Period(NOW - DAY, NOW)) == []


def test_a_page_takes_as_many_statements_however_much_there_is(world: World) -> None:
    deployed(world)
    auditor = someone("auditor")
    with CaptureQueriesContext(connection) as few:
        told(auditor)
    for n in range(3):
        deployed(world, f"9.{n}")
    with CaptureQueriesContext(connection) as many:
        told(auditor)
    assert len(many) == len(few) <= 13


def test_the_api_pages_through_all_of_it(world: World) -> None:
    deployed(world)
    caller = Caller(world.manager)
    address, seen = f"{API}/population/", []
    asked: dict[str, Any] = {**ASKED, "page_size": 1, "product": world.product.key}
    answer = caller.get(address, asked)
    while True:
        assert answer.status_code == 200, answer.content
        seen += [line["kind"] for line in answer.json()["results"] if line["kind"] != "gap"]
        following = answer.json()["next"]
        if following is None:
            break
        answer = caller.get(f"{address}?{urlsplit(following).query}")
    assert seen == ["release", "change", "deployment"]
    assert answer.json()["results"][-1]["covered_by"]["round"]


@pytest.mark.parametrize(
    "wrong",
    [{"from": ""}, {"to": "2026-03-01"}, {"after": "x"}, {"after": "release:-1"}, {"x": "1"}, {"product": "none"}],
)
def test_a_wrong_question_is_a_400(db: None, wrong: dict[str, str]) -> None:
    answer = Caller(someone("auditor")).get(f"{API}/population/", {**ASKED, **wrong})
    assert answer.status_code == 400


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_the_table_is_a_formula(title: str) -> None:
    _head, row = csv.reader(population.as_csv([Line("release", "REL-1", title=title)]))
    assert row[3] == f"'{title}"


def test_the_page_and_the_table_show_the_same(world: World) -> None:
    release = deployed(world)
    asked: dict[str, Any] = {
        "begin": str(PERIOD.begin.date()),
        "end": str(PERIOD.end.date()),
        "product": world.product.pk,
    }
    client = signed_in(world.manager)
    html = client.get(reverse("admin:population"), asked).content.decode()
    assert release.number in html
    assert "round" in html
    answer = client.get(reverse("admin:population_csv"), asked)
    rows = list(csv.DictReader(answer.getvalue().decode().splitlines()))
    assert [row["kind"] for row in rows if row["kind"] != "gap"] == ["release", "change", "deployment"]
    assert rows[-1]["covered_by"] == f"round {release.rounds.get().pk}"


def test_a_period_that_is_none_is_said_to_be_none(world: World) -> None:
    client = signed_in(world.manager)
    for wrong in ({"begin": "x"}, {"begin": "2026-03-02", "end": "2026-03-01"}):
        assert client.get(reverse("admin:population"), wrong).status_code == 200
        assert client.get(reverse("admin:population_csv"), wrong).status_code == 400
    assert client.get(reverse("admin:population"), {"after": "x"}).status_code == 400


@pytest.mark.parametrize(("role", "offered"), [("auditor", True), ("release_manager", True), ("contributor", False)])
def test_it_is_offered_to_those_who_answer_for_a_period(db: None, role: str, offered: bool) -> None:
    html = signed_in(someone(role)).get(reverse("admin:index")).content.decode()
    assert (reverse("admin:population") in html) is offered
