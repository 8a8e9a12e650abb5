"""Fifty a day without ceremony: five calls of a pipeline's token, and the worker does the rest under one approval."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from django.utils import timezone

from approvals.commands import end_pre_approval, open_round, vote
from releasemgmt.accounts.commands import create_token
from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import write_product_document
from releasemgmt.catalog.models import Product, ReleaseModel
from releasemgmt.workflow import queries
from tests.factories import ProductFactory, TeamFactory, someone
from tests.journeys.client import Client
from tests.journeys.test_http import waited_for

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "dev@example.org"


class Counting(httpx.Client):
    """Counts what is written."""

    posts = 0

    def post(self, *args: Any, **kwargs: Any) -> httpx.Response:
        self.posts += 1
        return super().post(*args, **kwargs)


@pytest.fixture
def product() -> Product:
    """A product under *continuous*, whose documents are written."""
    continuous = ReleaseModel.objects.get(key="continuous")
    made: Product = ProductFactory(
        key="shop", team=TeamFactory(key="web"), components=["api"], default_model=continuous
    )
    author = someone("contributor", team=made.team)
    for kind in continuous.inherited:
        write_product_document(made, kind=kind, body="As always.", actor=author)
    return made


@pytest.fixture
def approval(product: Product) -> int:
    """The model's one round, which the chair has approved."""
    now, chair = timezone.now(), someone("cab_chair", username="chair")
    round = open_round(product.default_model, actor=someone("administrator"), now=now)
    vote(round, decision="approve", digest=round.digest, actor=chair, now=now)
    return round.pk


@pytest.fixture
def ci(product: Product, live_server: Any) -> Client:
    """A token of the pipeline with the scope `write`, and nobody else."""
    return _client(live_server.url, someone("service", team=product.team, username="ci"))


def _client(url: str, user: User) -> Client:
    now = timezone.now()
    until = now + timedelta(hours=1)
    actor = someone("administrator")
    _token, secret = create_token(user, name="ci", scopes=["write"], expires_at=until, actor=actor, now=now)
    client = Client(url, secret)
    client.http.__class__ = Counting
    return client


def ship(ci: Client, version: str, **fields: Any) -> str:
    """The five calls, from the commit to the evidence that it works; answers the release's number."""
    content = sha256(version.encode()).hexdigest()
    sha, digest = content[:40], f"sha256:{content}"
    at = "2026-01-05T10:00:00Z"
    commit = {"sha": sha, "parents": [], "author": ADDRESS, "subject": "SHOP-1 faster", "authored_at": at}
    ci.post("commits/bulk/", {"product": "shop", "commits": [commit | {"committed_at": at}]})
    build = {"product": "shop", "component": "api", "commit": sha, "digest": digest, "built_at": at}
    ci.post("builds/", build | {"artifact_uri": f"oci://example.org/api:{version}"}, expect=201)
    release = ci.post("releases/", {"product": "shop", "version": version, **fields}, expect=201)["number"]
    ci.post(f"releases/{release}/builds/", {"digest": digest})
    run = {"builds": [digest], "environment": "test", "suite": "integration", "passed": 12, "failed": 0}
    run |= {"errors": 0, "skipped": 0, "started_at": at, "finished_at": at}
    ci.post("test-runs/", run, expect=201)
    return str(release)


def state(ci: Client, release: str) -> str:
    return str(ci.get(f"releases/{release}/")["state"])


def test_five_calls_of_a_token_take_a_release_from_commit_to_accepted(
    ci: Client, approval: int, background: Any
) -> None:
    release = ship(ci, "1.0")
    assert ci.http.posts == 5  # type: ignore[attr-defined]
    waited_for(lambda: state(ci, release) == "accepted")
    events = ci.get(f"releases/{release}/events/")["results"]
    accepted = next(event for event in events if event["kind"] == "releases.release.accept")
    assert accepted["data"] == {"round": approval, "pre_approval": "continuous@1"}
    assert (accepted["actor"], accepted["on_behalf_of"]) == ("system", "ci")
    assert ci.get(f"approvals/{approval}/")["state"] == "approved"
    assert list(queries.breaks()) == []


def test_what_the_pre_approval_does_not_cover_waits_for_a_round_of_its_own(
    ci: Client, product: Product, approval: int, background: Any
) -> None:
    for_good, emergency = ship(ci, "2.0", database_change="irreversible"), ship(ci, "2.1", type="emergency")
    _waits(ci, for_good, "its risk is high (Its change of the database can't be taken back.)")
    _waits(ci, emergency, "its risk is high (It is an emergency.)")
    end_pre_approval(product.default_model, reason="Audit.", actor=someone("administrator"), now=timezone.now())
    _waits(ci, ship(ci, "3.0"), "the pre-approval of continuous@1 was taken back")


def _waits(ci: Client, release: str, why: str) -> None:
    waited_for(lambda: state(ci, release) == "integration_tested")
    found = ci.get(f"releases/{release}/transitions/")
    blockers = next(option for option in found if option["name"] == "accept")["blockers"]
    assert [blocker["code"] for blocker in blockers] == ["no_pre_approval"]
    assert why.lower() in blockers[0]["reason"].lower() and "needs a round of its own" in blockers[0]["reason"]
    refused = ci.transition(f"releases/{release}", "accept", expect=409)
    assert refused["blockers"] == blockers
