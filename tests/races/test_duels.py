"""Sign-offs under races: at the same moment, and one act between any two statements of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, product
from typing import Any

import pytest
from django.db import connection

from approvals.commands import changes, votes
from approvals.queries import Standing
from releasemgmt.workflow import commands, queries
from tests.deployments.conftest import let_plans_overlap
from tests.races.duels import DUELS, Ground, Violation
from tests.races.meeting import Racers, between, racers
from tests.scale import LONG, scaled

pytestmark = pytest.mark.django_db(transaction=True)

#: Attempts at each race; the long form makes 10,000 of all together.
ATTEMPTS = scaled(12, 10_000 // len(DUELS))
Record = Callable[[str, object], None]
postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time, from its first statement on"
)


@pytest.fixture
def ground(settings: Any) -> Ground:
    """Gates and facts of approvals and deployments stand; tests and documents of releases are not in the way."""
    upper = ("approvals.", "deployments.")
    gates = {key: [path for path in paths if path.startswith(upper)] for key, paths in settings.WORKFLOW_GATES.items()}
    start = "deployments.DeploymentPlan.start"
    settings.WORKFLOW_GATES = gates | {start: ["tests.races.duels.note_when_asked", *gates[start]]}
    let_plans_overlap(settings)
    settings.RISK_FACTS = []
    return Ground()


@pytest.fixture(scope="module")
def pair(django_db_setup: None) -> Iterator[Racers]:
    with racers() as found:
        yield found


@pytest.fixture
def pool(pair: Racers) -> ThreadPoolExecutor:
    return pair.pool


def note(record: Record, name: str, ended: Counter[str]) -> None:
    """A line of the report of `make faults`."""
    record("proof", name)
    record("attempts", ended.total())
    record("outcomes", ", ".join(f"{word} {times}" for word, times in sorted(ended.items())))


@pytest.mark.parametrize("name", DUELS)
def test_at_the_same_moment(ground: Ground, pair: Racers, name: str, record_property: Record) -> None:
    ended: Counter[str] = Counter()
    for turn in range(ATTEMPTS):
        duel = DUELS[name](ground, turn)
        ended[duel.outcome(pair.run(duel.first, duel.second))] += 1
    note(record_property, name, ended)
    assert list(queries.breaks()) == []


def interleaved(ground: Ground, pool: ThreadPoolExecutor, name: str) -> Iterator[str]:
    """How it ends with one act before each statement of the other, and the other way round."""
    for turn, swapped in product((0, 1), (False, True)):
        for before in count():
            duel = DUELS[name](ground, turn)
            acts = (duel.second, duel.first) if swapped else (duel.first, duel.second)
            results, is_inside = between(pool, *acts, before=before)
            yield duel.outcome(results[::-1] if swapped else results)
            if not is_inside:
                break


@postgresql
@pytest.mark.skipif(not LONG, reason="make faults: it takes minutes")
@pytest.mark.parametrize("name", DUELS)
def test_one_before_any_statement_of_the_other(
    ground: Ground, pool: ThreadPoolExecutor, name: str, record_property: Record
) -> None:
    note(record_property, f"{name}, at each statement", Counter(interleaved(ground, pool, name)))
    assert list(queries.breaks()) == []


def without_row_lock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commands, "for_update", lambda rows: rows)
    patch.setattr(commands, "_row_of", commands._row_of.__wrapped__)  # the statement that locks is built anew


def without_lock_of_an_edit(patch: pytest.MonkeyPatch) -> None:
    """Only the command that edits a change forgets it; the kernel beneath still locks."""
    patch.setattr(changes, "lock", lambda record: type(record).objects.get(pk=record.pk))


def without_digest_check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(votes, "_check_content", lambda stands, digest: None)


def without_recount(patch: pytest.MonkeyPatch) -> None:
    """A sign-off holds where its round was approved once."""
    patch.setattr(Standing, "holds", property(lambda stands: stands.round.state == "approved"))


MUTANTS = [
    (without_row_lock, "vote / vote"),
    (without_row_lock, "vote / edit"),
    (without_row_lock, "vote / revoke"),
    (without_row_lock, "round / round"),
    (without_row_lock, "edit / start"),
    (without_row_lock, "cancel / start"),
    (without_lock_of_an_edit, "vote / edit"),
    (without_digest_check, "vote / edit"),
    (without_recount, "edit / start"),
    (without_recount, "role revoked / start"),
]


@postgresql
@pytest.mark.parametrize(("mutate", "name"), MUTANTS, ids=lambda each: getattr(each, "__name__", each))
def test_a_mutant_is_caught(
    ground: Ground,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    mutate: Callable[[pytest.MonkeyPatch], None],
    name: str,
) -> None:
    """The suite fails when the row lock, the digest check or the recount is taken out."""
    mutate(monkeypatch)
    with pytest.raises(Violation):
        for _ in interleaved(ground, pool, name):
            pass
