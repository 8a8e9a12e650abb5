"""Requests at once: one key makes one record, one ETag admits one edit, on both engines."""

from __future__ import annotations

from functools import partial

import pytest

from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone
from tests.races.test_kernel import at_once
from tests.web.world import API, Caller

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def callers() -> list[Caller]:
    """Six connections of one person."""
    product = ProductFactory(key="shop")
    manager = someone("release_manager", team=product.team)
    return [Caller(manager) for _ in range(6)]


def test_one_key_makes_one_record(callers: list[Caller]) -> None:
    body = {"product": "shop", "version": "1.0"}
    posts = [partial(caller.post, f"{API}/releases/", body, headers={"Idempotency-Key": "k"}) for caller in callers]
    answers = at_once(*posts)
    assert [answer.status_code for answer in answers] == [201] * 6
    assert sum("Idempotency-Replayed" not in answer for answer in answers) == 1
    release = Release.objects.get()
    assert Event.objects.filter(stream=release.stream).count() == 1


def test_without_a_key_an_equal_body_makes_one_record_too(callers: list[Caller]) -> None:
    body = {"product": "shop", "version": "1.0"}
    answers = at_once(*[partial(caller.post, f"{API}/releases/", body) for caller in callers])
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]


def test_one_etag_admits_one_edit(callers: list[Caller]) -> None:
    url = callers[0].post(f"{API}/releases/", {"product": "shop", "version": "1.0"}).json()["url"]
    read = {"If-Match": callers[0].get(url)["ETag"]}
    edits = [partial(caller.patch, url, {"title": str(n)}, headers=read) for n, caller in enumerate(callers)]
    assert sorted(answer.status_code for answer in at_once(*edits)) == [200] + [412] * 5
    assert callers[0].get(url).json()["revision"] == 2
    assert list(queries.breaks()) == []
