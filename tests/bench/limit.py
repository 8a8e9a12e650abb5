"""The limit: the same two inserts and a commit in raw SQL, without HTTP, Django or validation."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import psycopg

TABLES = """
CREATE TABLE IF NOT EXISTS limit_row (id bigserial PRIMARY KEY, product text, version text, title text, at timestamptz,
  UNIQUE (product, version));
CREATE TABLE IF NOT EXISTS limit_audit (id bigserial PRIMARY KEY, row_id bigint REFERENCES limit_row, at timestamptz,
  data jsonb);
"""


def drive(dsn: str, *, clients: int, seconds: float, round_: int) -> float:
    """Transactions a second that `clients` connections make in `seconds`."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    workers = [
        context.Process(target=_client, args=(dsn, f"{round_}-{clients}-{n}", seconds, queue)) for n in range(clients)
    ]
    for worker in workers:
        worker.start()
    rate = sum(float(queue.get()) for _ in workers)
    for worker in workers:
        worker.join()
    return rate


def _client(dsn: str, name: str, seconds: float, queue: Any) -> None:
    done, begin = 0, time.perf_counter()
    with psycopg.connect(dsn) as connection:
        while time.perf_counter() - begin < seconds:
            row = connection.execute(
                "INSERT INTO limit_row (product, version, title, at) VALUES ('bench', %s, 'Title', now()) RETURNING id",
                [f"{name}-{done}"],
            ).fetchone()
            connection.execute(
                'INSERT INTO limit_audit (row_id, at, data) VALUES (%s, now(), \'{"version": "x"}\')', row
            )
            connection.commit()
            done += 1
    queue.put(done / (time.perf_counter() - begin))
