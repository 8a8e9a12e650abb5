"""What the delivery figures cost: 1,000,000 commits, 100,000 deployments, 20,000 incidents of 200 products.

The rows are written by the database itself, set by set. Beside the service's answer stands a plain SQL query for the
lead time of the same commits.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releasemgmt.accounts.commands import create_user, grant_role, system
from releasemgmt.accounts.models import Team, User
from releasemgmt.catalog.models import Environment, Product, ReleaseModel, Tier
from releasemgmt.kpis import queries
from releasemgmt.workflow.commands import reading

PRODUCTS, COMMITS, DEPLOYMENTS, INCIDENTS = 200, 1_000_000, 100_000, 20_000
STEPS = (10_000, 100_000, COMMITS)
YEARS = 5
TIMES = 5

RELEASES = """
INSERT INTO releases_release (revision, event_seq, event_hash, created_at, updated_at, entered_by, version, title,
  description, type, state, database_change, train, on_hold, hold_reason, risk, cycle, review, imported, released_at,
  created_by_id, model_id, product_id)
SELECT 1, 0, '', at, at, '', 'f' || n, '', '', 'minor', 'closed', 'none', '', false, '', 'low', 1, '', false, at,
  %(user)s, %(model)s, p.id
FROM unnest(%(products)s::bigint[]) AS p(id), generate_series(%(first)s::int, %(last)s::int - 1) AS n,
  LATERAL (SELECT now() - n * interval '1 day' * %(years)s * 365 / %(each)s - p.id * interval '7 minutes' AS at) AS t
"""
COMMITS_OF = """
INSERT INTO releases_commit (sha, parents, authored_at, committed_at, author, is_merge, is_bot, subject, work_items,
  recorded_at, product_id, first_release_id, released_at, lead_seconds, in_baseline, owned_since)
SELECT md5(r.id || '.' || n) || '00000000', '[]', r.released_at - lead * interval '1.1 second',
  r.released_at - lead * interval '1 second', 'dev' || (r.id + n) %% 12 || '@example.org', n = 9, false, 'Do it',
  CASE WHEN n %% 3 = 0 THEN '[]'::jsonb ELSE '["SHOP-1"]'::jsonb END, r.released_at, r.product_id, r.id, r.released_at,
  lead, false, r.released_at
FROM releases_release r, generate_series(0, 9) AS n,
  LATERAL (SELECT (abs(hashint8(r.id * 10 + n)::bigint) %% 1500000) AS lead) AS t
WHERE r.version ~ '^f' AND r.product_id = ANY(%(products)s)
  AND substr(r.version, 2)::int BETWEEN %(first)s AND %(last)s - 1
"""
DEPLOYMENTS_OF = """
INSERT INTO deployments_deployment (kind, origin, status, external_id, started_at, finished_at, unauthorised,
  recorded_at, product_id, release_id, environment_id, reported_by_id)
SELECT 'deploy', 'reported', CASE WHEN r.id %% 40 = 0 THEN 'failed' ELSE 'succeeded' END, '',
  r.released_at - interval '5 minutes', r.released_at, false, r.released_at, r.product_id, r.id, %(environment)s,
  %(user)s
FROM releases_release r WHERE r.version ~ '^f' AND r.product_id = ANY(%(products)s)
"""
INCIDENTS_OF = """
INSERT INTO deployments_incident (revision, event_seq, event_hash, created_at, updated_at, title, kind, severity,
  started_at, restored_at, planned, withdrawn, external_id, reported_by_id, recorded_at, product_id, environment_id,
  caused_by_id, cause_confirmed_by_id)
SELECT 1, 0, '', d.finished_at, d.finished_at, 'Down', CASE WHEN d.id %% 3 = 0 THEN 'degraded' ELSE 'down' END, 'major',
  d.finished_at + interval '20 minutes', d.finished_at + interval '20 minutes' + (d.id %% 300) * interval '1 minute',
  false, false, '', %(user)s, d.finished_at, d.product_id, d.environment_id,
  CASE WHEN d.id %% 2 = 0 THEN d.id END, CASE WHEN d.id %% 2 = 0 THEN %(user)s::bigint END
FROM deployments_deployment d WHERE d.id %% 5 = 0 AND d.product_id = ANY(%(products)s)
"""
REVISIONS_OF = """
INSERT INTO deployments_incidentrevision (title, kind, severity, started_at, restored_at, planned, withdrawn,
  recorded_at, product_id, environment_id, caused_by_id, cause_confirmed_by_id, incident_id, components)
SELECT title, kind, severity, started_at, restored_at, planned, withdrawn, recorded_at, product_id, environment_id,
  caused_by_id, cause_confirmed_by_id, id, '[]' FROM deployments_incident WHERE product_id = ANY(%(products)s)
"""
PLAIN = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY lead_seconds),
  percentile_cont(0.9) WITHIN GROUP (ORDER BY lead_seconds), avg(lead_seconds), count(*)
FROM releases_commit WHERE product_id = ANY(%(products)s) AND NOT is_merge AND NOT is_bot AND NOT in_baseline
  AND released_at >= %(begin)s AND released_at < %(end)s
"""


def measure() -> dict[str, float]:
    """Milliseconds of what a dashboard asks for, of a product and of all, and of a year as the history grows."""
    facts = _world()
    user = User.objects.get(pk=facts["user"])
    product = Product.objects.get(pk=facts["products"][7])
    gc.collect()
    gc.freeze()  # as a web worker does
    found: dict[str, float] = {}
    each, done = DEPLOYMENTS // PRODUCTS, 0
    for step in STEPS:
        last = each * step // COMMITS
        _write({**facts, "first": done, "last": last}, (RELEASES, COMMITS_OF))
        done = last
        if step == COMMITS:
            _write(facts, (DEPLOYMENTS_OF, INCIDENTS_OF, REVISIONS_OF))
        _vacuum()
        goals = {"a product": "goal: 100", "all": "goal: 1000"} if step == COMMITS else {}
        for whose, of in (("a product", product), ("all", None)):
            goal = f" ({goals[whose]})" if goals else ""
            found[f"figures of {whose}, a year, {step:,} commits, ms{goal}"] = _median_ms(partial(answer, user, of))
    for whose, of in (("a product", product), ("all", None)):
        for days, bucket in ((30, "day"), (90, "week")):
            asked = partial(answer, user, of, days=days, bucket=bucket)
            found[f"figures of {whose}, {days} days, {COMMITS:,} commits, ms"] = _median_ms(asked)
    for whose, keys in (("a product", [product.pk]), ("all", facts["products"])):
        found[f"lead time of {whose} by a plain SQL query, ms"] = _median_ms(partial(_plain, keys))
    with CaptureQueriesContext(connection) as captured, reading():
        answer(user, product)
    found["figures of a product, statements"] = len(captured)
    return found


def answer(user: User, product: Product | None, *, bucket: str = "month", days: int = 365) -> Any:
    """What a dashboard asks for: when it is opened the last thirty days by day."""
    now = timezone.now()
    begin = now - timedelta(days=days)
    return list(queries.answer(queries.asked(user, begin=begin, end=now, now=now, product=product, bucket=bucket)))


def _world() -> dict[str, Any]:
    """A team that owns so many products, somebody of it, and what the rows name."""
    now, engine = timezone.now(), system()
    team = Team.objects.create(key="figures", name="Figures")
    user = create_user(username="reader", password="bench-bench-bench", actor=engine)
    grant_role(user, role="release_manager", team=team, actor=engine, now=now)
    model = ReleaseModel.objects.get(key="normal")
    products = Product.objects.bulk_create(
        Product(key=f"figures-{n}", name=f"Figures {n}", team=team, default_model=model) for n in range(PRODUCTS)
    )
    Product.objects.filter(team=team).update(created_at=now - YEARS * timedelta(days=365))  # as old as their history
    environment, _new = Environment.objects.get_or_create(
        key=Tier.PRODUCTION, defaults={"name": "Production", "tier": Tier.PRODUCTION, "rank": 50}
    )
    keys = [product.pk for product in products]
    facts = {"user": user.pk, "model": model.pk, "products": keys, "environment": environment.pk}
    return {**facts, "years": YEARS, "each": DEPLOYMENTS // PRODUCTS}


def _write(facts: dict[str, Any], statements: tuple[str, ...]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # what they point to is there
        for statement in statements:
            cursor.execute(statement, facts)
        cursor.execute("SET session_replication_role = DEFAULT")


def _vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _plain(products: list[int]) -> None:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(PLAIN, {"products": products, "begin": now - timedelta(days=365), "end": now})
        cursor.fetchall()


def _median_ms(ask: Callable[[], Any]) -> float:
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        with reading():
            ask()
        took.append(1000 * (time.perf_counter() - begin))
    return statistics.median(took)
