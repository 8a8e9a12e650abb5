"""`python -m tests.bench`: build both servers' databases, measure in interleaved rounds, print a table, write JSON."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ADMIN = os.environ.get("BENCH_DATABASE_URL", "postgres://root@127.0.0.1:5432/postgres")
PRODUCT_DB, FLOOR_DB = (ADMIN.rpartition("/")[0] + f"/releasemgmt_bench_{name}" for name in ("product", "floor"))
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "releasemgmt.settings",
    "DATABASE_URL": PRODUCT_DB,
    "FLOOR_DATABASE_URL": FLOOR_DB,
    "REDIS_URL": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    "SECRET_KEY": "bench" * 12,
    "ALLOWED_HOSTS": "127.0.0.1,testserver",
    "CSRF_TRUSTED_ORIGINS": "http://127.0.0.1",
}

import django

django.setup()

from tests.bench import figures as delivery
from tests.bench import limit, load, outlook, past, plans, servers, statements, voting, world

ROUNDS, SECONDS = 3, 4.0
FLOOR_PORT, PRODUCT_PORT = 8311, 8312


def creations(token: str, path: str, label: str) -> Any:
    """Requests that create one row after another, each client its own versions."""
    headers = {"Authorization": token, "Content-Type": "application/json"}

    def requests(client: int) -> Iterator[load.Request]:
        n = 0
        while True:
            n += 1
            body = {"product": "product-0", "version": f"{label}-{client}-{n}", "title": "A title"}
            yield load.Request("POST", path, headers, body)

    return requests


def transitions(token: str, walkers: list[str], clients: int) -> Any:
    """Requests that build a release, send it back, and so on, each client on its own releases."""
    headers = {"Authorization": token, "Content-Type": "application/json"}

    def requests(client: int) -> Iterator[load.Request]:
        mine = walkers[client::clients]
        n = 0
        while True:
            path = f"/api/v1/releases/{mine[(n // 2) % len(mine)]}/transitions/"
            yield load.Request("POST", path + "build/", headers, {})
            yield load.Request("POST", path + "rework/", headers, {"reason": "bench"})
            n += 2

    return requests


def gets(path: str, headers: dict[str, str]) -> Any:
    """The same GET for ever."""

    def requests(_client: int) -> Iterator[load.Request]:
        while True:
            yield load.Request("GET", path, headers)

    return requests


def measure(place: world.World, votes: voting.Voting, floor_token: str) -> dict[str, list[float]]:
    """Three interleaved rounds of every rate, with one client and with eight; requests a second."""
    figures: dict[str, list[float]] = {}
    bearer = f"Bearer {place.token}"
    for round_ in range(ROUNDS):
        for clients in (1, 8):
            label = f"{round_}-{clients}"
            loads = {
                "floor": (FLOOR_PORT, creations(f"Token {floor_token}", "/rows/", label)),
                "create": (PRODUCT_PORT, creations(bearer, "/api/v1/releases/", label)),
                "transition": (PRODUCT_PORT, transitions(bearer, place.walkers, clients)),
                "vote": (PRODUCT_PORT, votes.requests(round_, clients)),
            }
            for name, (port, requests) in loads.items():
                found = load.drive(port, requests, clients=clients, seconds=SECONDS)
                if found.errors:
                    sys.exit(f"{name} with {clients} clients: {found.errors} requests failed")
                figures.setdefault(f"{name}/{clients}", []).append(found.per_second)
            rate = limit.drive(FLOOR_DB, clients=clients, seconds=SECONDS, round_=round_)
            figures.setdefault(f"limit/{clients}", []).append(rate)
    return figures


def pages(place: world.World) -> dict[str, float]:
    """Medians in milliseconds: a filtered list's first and last page, and the admin's release page."""
    api = {"Authorization": f"Bearer {place.token}"}
    admin = {"Cookie": f"sessionid={place.session}"}
    first = "/api/v1/releases/?state=planned&page_size=25"
    requests = {
        "list, first page": (first, api),
        "list, last page": (servers.last_page(PRODUCT_PORT, first, api), api),
        "release page in the admin": (f"/admin/releases/release/{place.page.pk}/change/", admin),
    }
    return {
        name: load.drive(PRODUCT_PORT, gets(path, headers), clients=1, seconds=SECONDS).p50_ms
        for name, (path, headers) in requests.items()
    }


def report(figures: dict[str, list[float]], times: dict[str, float], counts: dict[str, float], rss: float) -> None:
    """Print the table and write var/bench.json."""
    middle = {name: statistics.median(values) for name, values in figures.items()}
    print(f"{'requests a second, median of ' + str(ROUNDS):44}{'1 client':>10}{'8 clients':>10}")
    for name in ("limit", "floor", "create", "transition", "vote"):
        print(f"{name:44}{middle[name + '/1']:10.0f}{middle[name + '/8']:10.0f}")
    for name, goal in (("create", 60), ("transition", 60), ("vote", 40)):
        shares = [middle[f"{name}/{n}"] / middle[f"floor/{n}"] for n in (1, 8)]
        print(f"{f'{name} as a share of the floor (goal: {goal} %)':44}{shares[0]:10.0%}{shares[1]:10.0%}")
    print("\nstatements (without BEGIN, COMMIT, savepoints and the idempotency row), and what else is counted")
    for name, count in counts.items():
        print(f"{name:44}{count:10.4g}")
    print("\nmilliseconds, median, one client, 100,000 releases")
    for name, value in times.items():
        print(f"{name:44}{value:10.1f}")
    print(f"\n{'a web worker, MiB':44}{rss:10.0f}")
    path = Path("var/bench.json")
    path.parent.mkdir(exist_ok=True)
    answer = {"rates": figures, "statements": counts, "milliseconds": times, "worker_mib": rss}
    path.write_text(json.dumps(answer, indent=1))
    print(f"\nThe same as JSON: {path}")


def main() -> None:
    """Everything, from empty databases to the table."""
    with servers.databases(ADMIN, [PRODUCT_DB, FLOOR_DB]):
        servers.migrate()
        place = world.fill()
        floor_token = servers.prepare_floor()
        votes = voting.fill(place.manager, place.page.product)
        counts: dict[str, float] = dict(statements.count(place, votes))
        with (
            servers.granian("tests.bench.floor:application", FLOOR_PORT),
            servers.granian("releasemgmt.wsgi:application", PRODUCT_PORT) as product,
        ):
            figures = measure(place, votes, floor_token)
            times = pages(place)
            rss = servers.largest_worker_mib(product)
        counts |= outlook.measure(place.manager)
        counts |= delivery.measure()
        counts["1,000 plans due at once, s till all started (goal: 30)"] = plans.seconds_to_start(
            place.page.product.team
        )
        counts |= past.measure(dict(os.environ))
        report(figures, times, counts, rss)


if __name__ == "__main__":
    main()
