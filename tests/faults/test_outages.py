"""Workers, broker and database die again and again under load: each plan starts once, each event is told once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connection
from django.utils import timezone

from deployments.models import Deployment, DeploymentPlan
from releasemgmt.accounts.commands import create_token
from releasemgmt.accounts.models import Team, User
from releasemgmt.notifications.models import Delivery
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event, Pending
from tests.background import Background, Mailbox, eventually
from tests.factories import TeamFactory, someone
from tests.faults.plans import scheduled_plans
from tests.faults.servers import OWN, Web, standing
from tests.faults.test_kills import end_leases
from tests.notifications.world import positions, tell

pytestmark = pytest.mark.skipif(OWN not in os.environ, reason="make faults ARGS=outages: it stops its own servers")
#: `FAULTS_SHARE=0.1` makes a tenth of everything.
SHARE = float(os.environ.get("FAULTS_SHARE", "1"))


def share(number: int) -> int:
    return max(1, round(number * SHARE))


PLANS, EVENTS = share(1_000), share(10_000)
FAULTS = Counter({"kill": share(50), "redis": share(10), "postgres": share(5), "pause": share(5)})
WORKERS, BEATS = 4, 2
#: A pause longer than the lease of a delivery.
PAUSE = 70 if SHARE >= 1 else 10
BACK_WITHIN = 10


@dataclass
class Writer:
    """Writes events without end in a thread of its own, and knows which were acknowledged."""

    team: Team
    reader: User
    actor: User
    acknowledged: list[str] = field(default_factory=list)
    tried: int = 0

    def run(self, enough: threading.Event) -> None:
        while len(self.acknowledged) < EVENTS and not enough.is_set():
            self.tried += 1
            news = f"n{self.tried}"
            try:
                tell(self.team, self.reader, actor=self.actor, news=news)
                self.acknowledged.append(news)
            except Error:
                connection.close()
                enough.wait(0.2)
        connection.close()


@dataclass
class Caller:
    """Comments over HTTP without end, and notes each answer with its time."""

    web: Web
    token: str
    answers: list[tuple[float, int, str]] = field(default_factory=list)

    def run(self, enough: threading.Event) -> None:
        while not enough.is_set():
            said = {"body": "still here"}
            status, headers = self.web.ask("/api/v1/products/p0/comments/", body=said, token=self.token)
            self.answers.append((time.monotonic(), status, headers.get("Retry-After", "")))
            enough.wait(0.05)

    def statuses(self, since: float, until: float) -> set[int]:
        return {status for at, status, _ in self.answers if since <= at <= until}

    def first_good(self, since: float) -> float:
        """Seconds until the first answer that is not a refusal."""
        return (
            eventually(lambda: next((at for at, status, _ in self.answers if at > since and status == 201), 0)) - since
        )


@pytest.fixture
def fleet(transactional_db: None, tmp_path: Path, mailbox: Mailbox) -> Iterator[list[Background]]:
    """Four workers of two processes each, and two beats."""
    made = []
    for n in range(WORKERS):
        folder = tmp_path / str(n)
        folder.mkdir()
        parts = ("worker", "beat") if n < BEATS else ("worker",)
        facts: dict[str, Any] = {"settings_module": "tests.notifications.installation", "EMAIL_URL": mailbox.url}
        made.append(Background(folder, parts=parts, **facts))
    yield made
    for each in made:
        each.stop()


@pytest.fixture
def web(fleet: list[Background], tmp_path: Path) -> Iterator[Web]:
    process = Web(fleet[0].environment, tmp_path)
    process.start()
    yield process
    process.stop()


@dataclass
class Chaos:
    """What can go wrong, and what must be so meanwhile."""

    fleet: list[Background]
    caller: Caller
    chance: random.Random
    outages: list[float] = field(default_factory=list)

    def reign(self, is_over: Callable[[], bool]) -> None:
        """One fault after the other in a random order, each once the service has gone on after the one before."""
        faults = sorted(FAULTS.elements())
        self.chance.shuffle(faults)
        for fault in faults:
            seen = progress()
            getattr(self, fault)()
            eventually(lambda seen=seen: progress() > seen or is_over(), seconds=180)  # type: ignore[misc]
        eventually(is_over, seconds=1800)

    def kill(self) -> None:
        victim = self.chance.choice(self.fleet)
        victim.kill(self.chance.choice(sorted(victim.running)))
        victim.start()

    def pause(self) -> None:
        """A worker that sleeps through its leases, wherever it stands."""
        process = self.chance.choice(self.fleet).running["worker"]
        os.killpg(process.pid, signal.SIGSTOP)
        threading.Timer(PAUSE, resume, [process.pid]).start()

    def redis(self) -> None:
        """Stopped, and empty when it is back; whoever writes notices nothing."""
        _, server = standing()
        since = time.monotonic()
        server.end()
        self.caller.first_good(time.monotonic())
        server.start()
        assert self.caller.statuses(since, time.monotonic()) == {201}

    def postgres(self) -> None:
        """Stopped at once: 503 with Retry-After meanwhile, and back by itself."""
        server, _ = standing()
        server.end(signal.SIGQUIT)
        since = time.monotonic()
        eventually(lambda: len([1 for at, status, _ in self.caller.answers if at > since + 1 and status]) > 3)
        until = time.monotonic()
        server.start()
        self.outages.append(self.caller.first_good(time.monotonic()))
        answers = [each for each in self.caller.answers if since + 1 < each[0] <= until]
        assert {status for _, status, _ in answers} == {503}
        assert all(retry for _, _, retry in answers)
        connection.close()


def resume(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGCONT)


def test_whatever_fails_each_plan_starts_once_and_each_event_is_told_once(
    fleet: list[Background], web: Web, record_property: Callable[[str, object], None]
) -> None:
    team = TeamFactory(key="shop")
    reader, actor = someone("contributor", team=team), someone("release_manager", team=team)
    now = timezone.now()
    due = now + timedelta(seconds=30 + PLANS / 4)
    plans = scheduled_plans(team, count=PLANS, due=due)
    _, token = create_token(actor, name="t", scopes=["write"], expires_at=due + timedelta(days=1), actor=actor, now=now)
    writer, caller = Writer(team, reader, actor), Caller(web, token)
    chaos = Chaos(fleet, caller, random.Random(7))
    for each in fleet:
        each.start()
    with meanwhile(writer.run, caller.run):
        caller.first_good(time.monotonic())
        time.sleep(max(0.0, (due - timezone.now()).total_seconds()))
        chaos.reign(lambda: is_over(writer))
    everything_dies_once_more(fleet)

    streams = [plan.stream for plan in plans]
    starts = Counter(Event.objects.filter(kind="deployments.deploymentplan.start").values_list("stream", flat=True))
    assert starts == dict.fromkeys(streams, 1)
    assert Deployment.objects.count() == PLANS
    told = Counter(Delivery.objects.inbox_of(reader).values_list("event__data__news", flat=True))
    assert set(told.values()) == {1}
    assert set(writer.acknowledged) <= set(told)
    log = positions()
    assert [position for position, _event in log] == list(range(1, len(log) + 1))
    assert len({event for _position, event in log}) == Event.objects.count()
    assert list(queries.breaks()) == []
    assert max(chaos.outages) <= BACK_WITHIN
    assert {status for _, status, _ in caller.answers} <= {201, 503}
    record_property("attempts", PLANS + EVENTS)
    said = ", ".join(f"{number} × {fault}" for fault, number in FAULTS.items())
    record_property("outcomes", f"{said}; double starts 0, missed 0, lost 0, back within {max(chaos.outages):.1f} s")


@contextmanager
def meanwhile(*bodies: Callable[[threading.Event], None]) -> Iterator[None]:
    """Each in a thread, until the block ends."""
    enough = threading.Event()
    threads = [threading.Thread(target=body, args=[enough]) for body in bodies]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def everything_dies_once_more(fleet: list[Background]) -> None:
    """And what comes up after it does what is left."""
    for each in fleet:
        for name in list(each.running):
            each.kill(name)
    end_leases()
    for each in fleet:
        each.start()
    waits = Delivery.objects.exclude(state="sent")
    eventually(lambda: not Pending.objects.exists() and not waits.exists(), seconds=900)


def progress() -> int:
    """Starts and what was told so far."""
    return DeploymentPlan.objects.filter(state="in_progress").count() + Delivery.objects.count()


def is_over(writer: Writer) -> bool:
    waiting = DeploymentPlan.objects.filter(state="scheduled").exists()
    return len(writer.acknowledged) >= EVENTS and not waiting
