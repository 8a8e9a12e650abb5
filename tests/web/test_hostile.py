"""Requests made up from the API's own description, right and wrong: a 4xx at worst, and later lists still work.

`HOSTILE_EXAMPLES=200` in the environment asks for more of them for each operation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from approvals.commands import create_change, open_round
from deployments.commands import create_plan
from releasemgmt.accounts.models import Role, User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.commands import create_defect, create_release
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from releasemgmt.wsgi import application
from tests.factories import EnvironmentFactory, ProductFactory, TeamFactory, someone
from tests.web.world import token_for

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "2"))
HOW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def caller() -> User:
    return someone(*set(Role.values) - {"service"}, username="everything")


@pytest.fixture
def known(caller: User, no_gates: None) -> dict[str, str]:
    """A record under each kind of address, so that requests get past the 404."""
    now = timezone.now()
    product: Product = ProductFactory(key="shop", team=TeamFactory(key="web"))
    production: Environment = EnvironmentFactory(key="production")
    release, _ = create_release(product=product, version="1.0", actor=caller, now=now)
    change = create_change(product=product, title="A change", actor=caller, now=now)
    defect = create_defect(product=product, title="A defect", actor=caller, now=now)
    plan = create_plan(
        release=release,
        environment=production,
        actor=caller,
        now=now,
        planned_start=now,
        latest_start=now + timedelta(hours=1),
    )
    for transition in ("build", "pass_integration"):
        fire(release, transition, actor=caller, now=now)
    open_round(release, actor=caller, now=now)
    numbers = {"releases": release, "changes": change, "known-defects": defect, "deployment-plans": plan}
    keys = {"products": "shop", "teams": "web", "environments": "production"}
    versioned = {"release-models": "normal", "approval-policies": "low-risk"}
    return {name: record.number for name, record in numbers.items()} | keys | versioned


@pytest.fixture
def open_connection() -> Iterator[None]:
    """The application would close the connection after each request, and with it the test's transaction."""
    both = (request_started, request_finished)
    for signal in both:
        signal.disconnect(close_old_connections)
    yield
    for signal in both:
        signal.connect(close_old_connections)


@cache
def description() -> Any:
    return schemathesis.openapi.from_wsgi("/api/v1/schema/", application)


def operations() -> Iterator[Any]:
    return (found.ok() for found in description().get_all_operations())


def aimed(case: Any, known: dict[str, str], *, existing: bool) -> None:
    """Point a request at a record that is there."""
    collection = case.path.split("/")[3]
    if existing and case.path_parameters:
        case.path_parameters |= {"number": known[collection]} if collection in known else {"id": "1", "pk": "1"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_no_request_breaks_the_service(
    mode: GenerationMode, caller: User, known: dict[str, str], open_connection: None
) -> None:
    headers = {"Authorization": f"Bearer {token_for(caller)}", "X-Request-ID": "hostile"}
    broken: list[str] = []
    statuses: set[int] = set()

    for operation in operations():

        @HOW
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            aimed(case, known, existing=len(repr(case.query) + repr(case.body)) % 3 > 0)
            answer = case.call(headers={**(case.headers or {}), **headers})
            statuses.add(answer.status_code)
            kind = answer.headers["content-type"][0]
            if answer.status_code >= 500 or (answer.status_code >= 400 and kind != "application/problem+json"):
                broken.append(f"{case.as_curl_command()} -> {answer.status_code} {answer.text[:300]}")

        ask()

    assert broken == []
    assert {400, 404} <= statuses
    after = Client(headers=headers)
    for path in (
        "releases",
        "changes",
        "known-defects",
        "deployment-plans",
        "products",
        "environments",
        "events",
        "me",
    ):
        assert after.get(f"/api/v1/{path}/").status_code == 200
    assert list(queries.breaks()) == []
