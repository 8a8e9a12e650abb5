"""Drives HTTP servers: keep-alive clients in processes of their own, each counting what it got in a span of time."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as a client sends it."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Load:
    """What a span of requests gave: requests a second, and the median time of one in milliseconds."""

    per_second: float
    p50_ms: float
    errors: int


def drive(port: int, requests: Callable[[int], Iterator[Request]], *, clients: int, seconds: float) -> Load:
    """Run `clients` processes against a port for `seconds`; `requests(client)` yields what that client sends."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    workers = [
        context.Process(target=_client, args=(port, requests, number, seconds, queue)) for number in range(clients)
    ]
    for worker in workers:
        worker.start()
    results = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    times = [t for found, _errors, _span in results for t in found]
    rate = sum(len(found) / span for found, _errors, span in results)
    return Load(rate, statistics.median(times) * 1000 if times else float("nan"), sum(e for _t, e, _s in results))


def _client(port: int, requests: Callable[[int], Iterator[Request]], number: int, seconds: float, queue: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times, errors = [], 0
    begin = time.perf_counter()
    for request in requests(number):
        start = time.perf_counter()
        if start - begin > seconds:
            break
        body = None if request.body is None else json.dumps(request.body)
        connection.request(request.method, request.path, body, request.headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 400:
            errors += 1
        else:
            times.append(time.perf_counter() - start)
    queue.put((times, errors, time.perf_counter() - begin))
