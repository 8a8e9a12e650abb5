"""What was answered stays answerable: whatever happens later, a question as of then says what was said then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
import time_machine

from deployments.commands import correct_incident, end_deployment, report_incident, withdraw_incident
from deployments.models import Deployment, Incident
from releasemgmt.accounts.commands import system
from releasemgmt.kpis import queries
from releasemgmt.releases.commands import create_defect, edit_defect, link_defect
from releasemgmt.releases.commands.commits import send_commits
from releasemgmt.releases.commands.importing import import_past
from releasemgmt.releases.models import KnownDefect, Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Refused
from tests.conftest import NOW
from tests.deployments.world import HOUR, Shop
from tests.kpis.world import DAY, MINUTE, commits, figures, scope, ship
from tests.releases.history import sha

ACTS, BETWEEN = 36, 6
SPAN = {"begin": NOW - 30 * DAY, "end": NOW + 60 * DAY}


class Story:
    """What may happen to a product, by dice; each act happens at an instant of its own, some tell of earlier ones."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, self.dice, self.now, self.n = shop, Random(seed), NOW, 0
        self.acts: list[Callable[[], Any]] = [
            *[self.commit, self.deploy, self.begin, self.end, self.open_a_defect, self.link_a_fix] * 2,
            *(self.deploy, self.roll_back, self.import_a_release, self.turn_a_defect),
            *(self.report, self.correct, self.withdraw),
        ]

    def go_on(self) -> None:
        """One act; what is refused has not happened."""
        self.now += timedelta(minutes=self.dice.randint(5, 600))
        with time_machine.travel(self.now, tick=False), suppress(Refused, IndexError):
            self.dice.choice(self.acts)()

    def earlier(self) -> datetime:
        """Now, or up to a day or so before; events keep no more than milliseconds of what was edited."""
        return self.now - timedelta(minutes=self.dice.choice([0, 0, 1, 30]) * self.dice.randint(0, 60))

    def one_of(self, rows: Any) -> Any:
        return self.dice.choice(list(rows.order_by("pk")))

    def commit(self) -> None:
        for _ in range(self.dice.randint(1, 3)):
            self.n += 1
            parents = sorted({max(1, self.n - self.dice.randint(1, 3)) for _ in range(self.dice.choice([1, 1, 2]))})
            at, is_bot = self.earlier(), self.dice.random() < 0.2
            row = {"sha": sha(self.n), "authored_at": at - HOUR, "committed_at": at, "is_bot": is_bot}
            row["parents"] = [sha(each) for each in parents if each < self.n]
            send_commits(self.shop.product, commits=[row], actor=self.shop.ci, now=self.now)

    def release(self) -> Release:
        version, tip = f"1.{Release.objects.count()}", self.dice.randint(1, max(1, self.n))
        builds = [self.shop.build(component, version, commit=tip) for component in ("api", "web")]
        return self.shop.release(version, builds=builds)

    def deploy(self) -> None:
        release = self.release() if self.dice.random() < 0.6 else self.one_of(Release.objects.filter(imported=False))
        over, status = self.earlier(), self.dice.choice(["succeeded", "succeeded", "failed"])
        failed = self.one_of(Deployment.objects.filter(status="failed")) if self.dice.random() < 0.2 else None
        times = {"started_at": over - 10 * MINUTE, "finished_at": over, "now": self.now}
        self.shop.report(release=release, status=status, remediates=failed, **times)

    def begin(self) -> None:
        self.shop.report(release=self.release(), status="running", started_at=self.now, finished_at=None, now=self.now)

    def end(self) -> None:
        status = self.dice.choice(["succeeded", "failed"])
        running = self.one_of(Deployment.objects.filter(status="running"))
        end_deployment(running, status=status, actor=self.shop.ci, now=self.now)

    def roll_back(self) -> None:
        back = self.one_of(Deployment.objects.filter(status="succeeded"))
        times = {"started_at": self.now - MINUTE, "finished_at": self.now, "now": self.now}
        self.shop.report(builds=list(back.builds.all()), kind="rollback", **times)

    def import_a_release(self) -> None:
        at = self.now - self.dice.randint(1, 20) * DAY
        version, tip = f"0.{Release.objects.count()}", sha(self.dice.randint(1, self.n or 1))
        given: list[Any] = [{"version": version, "sha": tip, "released_at": at}]
        import_past(self.shop.product, releases=given, actor=system(), now=self.now)

    def report(self) -> None:
        began, kind = self.earlier(), self.dice.choice(["down", "down", "degraded"])
        facts: dict[str, Any] = {"title": "Off", "kind": kind, "environment": self.shop.production, "started_at": began}
        facts["restored_at"] = self.dice.choice([None, self.now])
        report_incident(product=self.shop.product, actor=self.shop.manager, now=self.now, **facts)

    def correct(self) -> None:
        incident = self.one_of(Incident.objects.all())
        changes: list[dict[str, Any]] = [
            {"restored_at": max(self.now - HOUR, incident.started_at)},
            {"caused_by": self.one_of(Deployment.objects.exclude(status="running"))},
            {"started_at": incident.started_at - HOUR},
        ]
        correct_incident(incident, changes=self.dice.choice(changes), actor=self.shop.manager, now=self.now)

    def withdraw(self) -> None:
        incident = self.one_of(Incident.objects.all())
        withdraw_incident(incident, reason="It was none.", actor=self.shop.manager, now=self.now)

    def open_a_defect(self) -> None:
        opened = self.earlier()
        create_defect(product=self.shop.product, title="Slow", opened_at=opened, actor=self.shop.author, now=self.now)

    def link_a_fix(self) -> None:
        release, defect = self.one_of(Release.objects.all()), self.one_of(KnownDefect.objects.all())
        link_defect(release, defect=defect, relation="fixed_in", actor=self.shop.manager, now=self.now)

    def turn_a_defect(self) -> None:
        defect = self.one_of(KnownDefect.objects.all())
        by: dict[str, Any] = {"actor": self.shop.author, "now": self.now}
        turn = self.dice.choice(["fix", "reopen", "reject", "edit"])
        if turn == "edit":
            edit_defect(defect, changes={"opened_at": defect.opened_at - HOUR}, **by)
        else:
            fire(defect, turn, **by | ({} if turn == "fix" else {"reason": "So."}))

    def answers(self, *, as_of: datetime, now: datetime) -> dict[str, Any]:
        """Each figure with its very rows."""
        asked = scope(self.shop.ci, product=self.shop.product, as_of=as_of, now=now, **SPAN)
        ((_span, figures),) = queries.answer(asked)
        return {name: (figure, queries.rows(asked, name)) for name, figure in figures.items()}


def test_a_late_report_of_an_earlier_deployment_restates_the_past_alone(shop: Shop) -> None:
    type(shop.product).objects.update(created_at=NOW - 9 * DAY)
    then, told = NOW + 3 * HOUR, NOW + DAY
    with time_machine.travel(NOW, tick=False):
        commits(shop, [(1, NOW - DAY), (2, NOW - DAY)])
        ship(shop, "1", at=NOW, tip=1)
        release = ship(shop, "2", at=NOW + 2 * HOUR, tip=2).release
    with time_machine.travel(told, tick=False):
        shop.report(release=release, started_at=NOW, finished_at=NOW + HOUR, now=told)
    asked = [{"product": shop.product, "as_of": at} for at in (then, told + MINUTE)]
    known = [figures(shop.ci, **each)["release_cycle_time"]["value"] for each in asked]
    assert known == [26 * 3600, 25 * 3600]
    assert [figures(shop.ci, **each, end=NOW + 1.5 * HOUR)["commit_volume"]["n"] for each in asked] == [1, 2]


def test_a_fix_that_was_running_had_repaired_nothing_as_of_then(shop: Shop) -> None:
    begun: dict[str, Any] = {"actor": shop.author, "now": NOW}
    with time_machine.travel(NOW, tick=False):
        defect = create_defect(product=shop.product, title="Slow", opened_at=NOW - DAY, **begun)
        release = shop.release("1")
        link_defect(release, defect=defect, relation="fixed_in", **begun)
        running, _new = shop.report(release=release, status="running", started_at=NOW, finished_at=None)
    with time_machine.travel(NOW + HOUR, tick=False):
        end_deployment(running, status="succeeded", actor=shop.ci, now=NOW + HOUR)
    known = [figures(shop.ci, as_of=NOW + n * HOUR)["mttr_defects"] for n in (0.5, 1.5)]
    assert [(each["n"], each["open"]["count"]) for each in known] == [(0, 1), (1, 0)]


@pytest.mark.parametrize("seed", range(10))
def test_a_question_as_of_then_is_answered_as_it_was_then(shop: Shop, seed: int) -> None:
    story = Story(shop, seed)
    type(shop.product).objects.update(created_at=NOW - DAY)
    said = {}
    for n in range(ACTS):
        story.go_on()
        if n % BETWEEN == BETWEEN - 1:
            then = story.now + MINUTE
            said[then] = story.answers(as_of=then, now=then)
    for then, before in said.items():
        after = story.answers(as_of=then, now=story.now + 9 * DAY)
        for name, told in before.items():
            assert after[name] == told, (name, then)
