"""A POST that is sent again does not do it again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Release
from releasemgmt.web import idempotency
from releasemgmt.web.models import IdempotentRequest
from releasemgmt.web.tasks import forget_idempotency_keys
from releasemgmt.workflow.models import Event
from tests.factories import someone
from tests.web.world import API, Caller, picture

KEY = {"Idempotency-Key": "one"}
RELEASES = f"{API}/releases/"


def body(version: str = "2.0") -> dict[str, str]:
    return {"product": "shop", "version": version}


def comments(release: Release) -> int:
    return Event.objects.filter(stream=release.stream, kind="comment").count()


def test_the_same_key_twice_makes_one_record_and_one_answer(manager: Caller, product: Product) -> None:
    first = manager.post(RELEASES, body(), headers=KEY)
    again = manager.post(RELEASES, body(), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["ETag"] == first["ETag"]
    assert again["Location"] == first["Location"] == first.json()["url"]
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Release.objects.count() == 1


def test_without_a_key_a_comment_stands_twice_and_with_one_once(manager: Caller, release: Release) -> None:
    path = f"{RELEASES}{release.number}/comments/"
    for headers in ({}, {}, KEY, KEY):
        assert manager.post(path, {"body": "Again?"}, headers=headers).status_code == 201
    assert comments(release) == 3


def test_a_connection_cut_between_commit_and_answer_makes_one_record(
    manager: Caller, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command has committed, the answer never arrives: the retry gets it."""

    def cut(*_: Any, **__: Any) -> Any:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr("rest_framework.views.APIView.finalize_response", cut)
        assert manager.post(RELEASES, body(), headers=KEY).status_code == 500
    assert Release.objects.count() == 1
    retried = manager.post(RELEASES, body(), headers=KEY)
    assert (retried.status_code, retried["Idempotency-Replayed"]) == (201, "true")
    assert retried.json()["number"] == Release.objects.get().number
    assert Release.objects.count() == 1


def test_another_body_under_the_key_is_422(manager: Caller, product: Product) -> None:
    manager.post(RELEASES, body(), headers=KEY)
    before = picture(Release.objects.get())
    assert manager.refused("post", RELEASES, body("3.0"), status=422, **KEY)["code"] == "idempotency_key_reused"
    assert Release.objects.count() == 1
    assert picture(Release.objects.get()) == before


def test_the_order_of_fields_makes_no_other_body(manager: Caller, product: Product) -> None:
    manager.post(RELEASES, {"product": "shop", "version": "2.0"}, headers=KEY)
    again = manager.post(RELEASES, {"version": "2.0", "product": "shop"}, headers=KEY)
    assert again["Idempotency-Replayed"] == "true"


def test_a_key_belongs_to_caller_and_path(manager: Caller, product: Product, release: Release) -> None:
    other = Caller(someone("contributor", team=product.team))
    path = f"{RELEASES}{release.number}/comments/"
    answers = [
        manager.post(path, {"body": "Hello."}, headers=KEY),
        other.post(path, {"body": "Hello."}, headers=KEY),
        manager.post(RELEASES, body(), headers=KEY),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert not any("Idempotency-Replayed" in answer for answer in answers)


@pytest.mark.parametrize(
    ("bad", "status"), [({"product": "shop"}, 400), ({"product": "shop", "version": "1.0", "title": "Other"}, 409)]
)
def test_a_refusal_frees_the_key(manager: Caller, release: Release, bad: dict[str, str], status: int) -> None:
    before = picture(release)
    manager.refused("post", RELEASES, bad, status=status, **KEY)
    assert picture(release) == before
    assert IdempotentRequest.objects.count() == 0
    assert manager.post(RELEASES, body(), headers=KEY).status_code == 201


def test_a_replay_comes_before_if_match_and_the_state_check(manager: Caller, release: Release, no_gates: Any) -> None:
    path = f"{RELEASES}{release.number}/"
    headers = KEY | {"If-Match": manager.get(path)["ETag"]}
    built = manager.post(f"{path}transitions/build/", {}, headers=headers)
    manager.post(f"{path}transitions/pass_integration/", {})
    before = picture(release)
    again = manager.post(f"{path}transitions/build/", {}, headers=headers)
    assert (again.status_code, again["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == built.json()
    assert picture(release) == before


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_is_a_short_text(manager: Caller, product: Product, key: str) -> None:
    assert manager.refused("post", RELEASES, body(), status=400, **{"Idempotency-Key": key})
    assert Release.objects.count() == 0


def test_a_key_is_forgotten_after_a_day(manager: Caller, release: Release) -> None:
    path = f"{RELEASES}{release.number}/comments/"
    start = timezone.now()
    manager.post(path, {"body": "Hello."}, headers=KEY)
    with time_machine.travel(start + timedelta(hours=23, minutes=59), tick=False):
        forget_idempotency_keys()
        assert IdempotentRequest.objects.count() == 1
    with time_machine.travel(start + idempotency.KEPT + timedelta(minutes=1), tick=False):
        forget_idempotency_keys()
    assert IdempotentRequest.objects.count() == 0
    assert "Idempotency-Replayed" not in manager.post(path, {"body": "Hello."}, headers=KEY)
    assert comments(release) == 2
