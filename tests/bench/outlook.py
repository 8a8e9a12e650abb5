"""What questions about deployments cost: 100,000 times of windows, and 200 components in five environments.

Each of these was seen, and in each environment digests were deployed that nobody had registered.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments import queries
from deployments.models import DeployedBuild, Deployment, Observation, Occurrence, UnregisteredDigest, Window
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product, Tier
from releasemgmt.releases.models import Build, Release
from releasemgmt.workflow.commands import reading

OCCURRENCES, WINDOWS, COMPONENTS, HISTORY = 100_000, 250, 200, 20
TIMES = 30


def measure(manager: User) -> dict[str, float]:
    """Statements, and milliseconds by the median, of a window's verdict, the matrix and the readiness of a release."""
    product = Product.objects.get(key="product-1")
    production = product.environments.get(tier=Tier.PRODUCTION)
    release = _deployments(product, manager)
    _windows(product, production, manager)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    now = timezone.now()
    asked: dict[str, tuple[Callable[[], Any], str]] = {
        "window verdict": (lambda: queries.window_verdict(production, product, at=now), "statements (goal: 3)"),
        "matrix of 200 x 5": (lambda: _matrix(), "statements (goal: 6)"),
        "readiness": (lambda: queries.readiness(release, production, at=now), "statements (goal: 15)"),
    }
    found: dict[str, float] = {}
    for name, (ask, unit) in asked.items():
        with CaptureQueriesContext(connection) as captured, reading():
            ask()
        found[f"{name}, {unit}"] = len(captured)
        found[f"{name}, ms"] = _median_ms(ask)
    return found


def _matrix() -> None:
    if len(queries.what_is_where()) < COMPONENTS * len(Tier.values):
        raise RuntimeError("The matrix is not full.")


def _median_ms(ask: Callable[[], Any]) -> float:
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        with reading():
            ask()
        took.append(1000 * (time.perf_counter() - begin))
    return statistics.median(took)


def _seen(builds: list[Build], environment: Environment, manager: User) -> None:
    """Somebody looked at each of them."""
    now = timezone.now()
    when = {"first_seen_at": now, "last_seen_at": now, "reported_by": manager}
    Observation.objects.bulk_create(
        Observation(
            component=build.component, environment=environment, digest=build.digest, expected=build.digest, **when
        )
        for build in builds
    )


def _windows(product: Product, production: Environment, manager: User) -> None:
    """Windows of this product and, most of them, of others, with times a day apart."""
    now = timezone.now()
    others = list(Product.objects.exclude(pk=product.pk))
    windows = Window.objects.bulk_create(
        Window(
            kind="allow" if n % 2 else "deny",
            name=f"Window {n}",
            reason="Because.",
            product=product if n < 4 else others[n % len(others)],
            environment=production,
            first_on=now.date(),
            start_time=now.time(),
            duration_minutes=60,
            rule="FREQ=DAILY",
            state="in_force",
            owner=manager,
            created_by=manager,
            laid_out_until=now + timedelta(days=400),
        )
        for n in range(WINDOWS)
    )
    each = OCCURRENCES // WINDOWS
    for n, window in enumerate(windows):
        first = now + timedelta(hours=2 + n % 7)
        Occurrence.objects.bulk_create(
            Occurrence(
                window=window,
                starts_at=first + timedelta(days=day),
                ends_at=first + timedelta(days=day, hours=1),
            )
            for day in range(each)
        )


def _deployments(product: Product, manager: User) -> Release:
    """A release of every component, and so many deployments of all of them to each environment."""
    now = timezone.now()
    components = Component.objects.bulk_create(
        Component(product=product, key=f"part-{n}", name=f"Part {n}") for n in range(COMPONENTS)
    )
    builds = Build.objects.bulk_create(
        Build(
            product=product,
            component=component,
            commit_sha="b" * 40,
            digest="sha256:" + sha256(component.key.encode()).hexdigest(),
            artifact_uri=f"oci://registry.example.org/{component.key}@1",
            built_at=now,
        )
        for component in components
    )
    model = product.default_model
    release = Release.objects.create(
        product=product, version="outlook", title="Outlook", model=model, created_by=manager, state="accepted"
    )
    release.components.set(components)
    release.builds.set(builds)
    for environment in product.environments.all():
        for nth in range(HISTORY):
            at = now - timedelta(days=HISTORY - nth)
            done = Deployment.objects.create(
                product=product,
                release=release,
                environment=environment,
                origin="reported",
                reported_by=manager,
                status="succeeded",
                started_at=at - timedelta(minutes=5),
                finished_at=at,
            )
            DeployedBuild.objects.bulk_create(
                DeployedBuild(
                    deployment=done, build=build, component=build.component, environment=environment, succeeded_at=at
                )
                for build in builds
            )
        _seen(builds, environment, manager)
        strange = {"product": product, "environment": environment, "digest": "sha256:" + "f" * 64}
        UnregisteredDigest.objects.create(deployment=done, succeeded_at=done.finished_at, **strange)
    return Release.objects.select_related("product", "model").get(pk=release.pk)
