"""Ways in which two acts meet: at the same moment, or one of them between two statements of the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as done_by
from contextlib import contextmanager
from typing import Any

from django.db import connection

Act = Callable[[], Any]
#: Seconds after which a meeting that does not end is a fault of the test.
PATIENCE = 30
#: Seconds between two looks at whether somebody waits for a lock.
GLANCE = 0.002


class Racers:
    """Threads with a connection each, who act at the same moment again and again."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool = ThreadPoolExecutor(count)
        self.gate = threading.Barrier(count)

    def run(self, *acts: Act) -> list[Any]:
        """Each act in a thread of its own, all released at once; answers results and exceptions."""
        assert len(acts) == self.count
        return [future.result(PATIENCE) for future in [self.pool.submit(self._run, act) for act in acts]]

    def _run(self, act: Act) -> Any:
        self.gate.wait(PATIENCE)
        return answer_of(act)


@contextmanager
def racers(count: int = 2) -> Iterator[Racers]:
    """Threads for a while; their connections are closed at the end."""
    found = Racers(count)
    try:
        yield found
    finally:
        found.run(*[_disconnect] * count)
        found.pool.shutdown()


def _disconnect() -> None:
    connection.close()  # the thread's own


def answer_of(act: Act) -> Any:
    """What an act answers, be it an exception."""
    try:
        return act()
    except Exception as error:
        return error


class Interrupted:
    """An act that stands still before its n-th statement, until somebody lets it go on."""

    def __init__(self, act: Act, before: int) -> None:
        self.act = act
        self.left = before
        self.stands = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> Any:
        with connection.execute_wrapper(self._count):
            try:
                return answer_of(self.act)
            finally:
                self.stands.set()

    def _count(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.left == 0:
            self.stands.set()
            assert self.go_on.wait(PATIENCE)
        self.left -= 1
        return execute(sql, params, many, context)

    @property
    def was_reached(self) -> bool:
        """Whether there was an n-th statement."""
        return self.left < 0


def between(pool: ThreadPoolExecutor, first: Act, second: Act, *, before: int) -> tuple[list[Any], bool]:
    """The second act before the n-th statement of the first: until it is done, or waits for what the first has locked.

    Answers both results, and whether the first act has that many statements. PostgreSQL only: elsewhere nobody can
    say who waits for whom.
    """
    interrupted = Interrupted(first, before)
    one = pool.submit(interrupted)
    assert interrupted.stands.wait(PATIENCE)
    begun: Future[int] = Future()
    two = pool.submit(_with_backend, second, begun)
    _until_done_or_blocked(two, begun.result(PATIENCE))
    interrupted.go_on.set()
    return [one.result(PATIENCE), two.result(PATIENCE)], interrupted.was_reached


def _with_backend(act: Act, begun: Future[int]) -> Any:
    connection.ensure_connection()
    begun.set_result(connection.connection.info.backend_pid)
    return answer_of(act)


def _until_done_or_blocked(act: Future[Any], backend: int) -> None:
    with connection.cursor() as cursor:
        while not done_by([act], timeout=GLANCE).done:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", [backend])
            if cursor.fetchone()[0]:
                return


def is_refused(results: Sequence[Any], number: int) -> bool:
    """Whether that act ended in an exception."""
    return isinstance(results[number], Exception)
