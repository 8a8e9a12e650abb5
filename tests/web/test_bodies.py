"""Bodies, query strings and paths as strangers send them: refused with a 4xx, and nothing is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.models import Release
from releasemgmt.workflow.models import Event
from tests.web.world import API, Caller, picture, problem

ENVIRONMENTS = f"{API}/environments/"
GOOD = {"key": "lab", "name": "Lab", "tier": "test", "rank": 5}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


HOSTILE = {
    "a NUL in a text": '{"key": "lab", "name": "La\\u0000b", "tier": "test", "rank": 5}',
    "a NUL in a field's name": '{"ke\\u0000y": "lab"}',
    "half of a surrogate pair": '{"key": "lab", "name": "\\ud800", "tier": "test", "rank": 5}',
    "a key twice": '{"key": "lab", "key": "lab", "name": "Lab", "tier": "test", "rank": 5}',
    "a key twice, deep inside": '{"key": [{"a": 1, "a": 2}]}',
    "21 levels": nested(21),
    "100,000 levels": nested(100_000),
    "NaN": '{"key": "lab", "name": "Lab", "tier": "test", "rank": NaN}',
    "infinity": '{"key": "lab", "name": "Lab", "tier": "test", "rank": -Infinity}',
    "a number beyond every float": '{"key": "lab", "name": "Lab", "tier": "test", "rank": 1e999}',
    "an integer of 5,000 digits": '{"key": "lab", "name": "Lab", "tier": "test", "rank": ' + "9" * 5_000 + "}",
    "an integer beyond 64 bits": '{"key": "lab", "name": "Lab", "tier": "test", "rank": 9223372036854775808}',
    "no UTF-8": b'{"key": "\xff"}',
    "half of an object": '{"key": ',
    "two values": "{} {}",
    "a byte order mark": "\ufeff{}",
    "a list for an object": '[{"key": "lab"}]',
    "a text for an object": '"lab"',
    "null": "null",
    "nothing": "",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_is_400(administrator: Caller, body: str | bytes) -> None:
    environments, events = Environment.objects.count(), Event.objects.count()
    answer = administrator.post(ENVIRONMENTS, body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert problem(answer)["code"] in ("parse_error", "invalid")
    assert (Environment.objects.count(), Event.objects.count()) == (environments, events)


def test_20_levels_are_read(administrator: Caller) -> None:
    body = json.dumps({"depends": 1})[:-1] + ', "deep": ' + nested(19) + "}"
    answer = administrator.post(ENVIRONMENTS, body, content_type="application/json")
    assert {"/depends", "/deep"} == {
        error["pointer"] for error in problem(answer)["errors"] if "no such" in error["detail"]
    }


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_more_than_a_mebibyte_is_413(administrator: Caller, kind: str) -> None:
    answer = administrator.post(ENVIRONMENTS, b"[" + b" " * (2 * 1024 * 1024), content_type=kind)
    assert answer.status_code == (413 if kind == "application/json" else 415)
    assert problem(answer)["code"] in ("too_large", "unsupported_media_type")


def test_a_mebibyte_less_a_byte_is_read(administrator: Caller) -> None:
    body = json.dumps(GOOD).encode().ljust(1024 * 1024)
    assert administrator.post(ENVIRONMENTS, body, content_type="application/json").status_code == 201


def test_a_report_beyond_20_mebibytes_is_413_before_it_is_read(manager: Caller) -> None:
    announced = str(50 * 1024 * 1024)
    answer = manager.post(
        f"{API}/test-runs/", b"", content_type="multipart/form-data; boundary=x", CONTENT_LENGTH=announced
    )
    assert answer.status_code == 413
    assert "20 MiB" in problem(answer)["detail"]


def test_a_field_that_nobody_knows_is_named(administrator: Caller) -> None:
    answer = administrator.post(ENVIRONMENTS, GOOD | {"colour": "blue"})
    assert answer.status_code == 400
    assert problem(answer)["errors"] == [
        {"pointer": "/colour", "code": "unknown_field", "detail": "There is no such field."}
    ]


@pytest.mark.parametrize("field", ["state", "vote", "revision", "number", "permissions", "created_by", "released_at"])
def test_what_is_no_ones_to_set_is_refused_in_a_patch(manager: Caller, release: Release, field: str) -> None:
    before = picture(release)
    document = manager.refused(
        "patch",
        f"{API}/releases/{release.number}/",
        {"title": "New", field: "accepted"},
        status=400,
        **{"If-Match": "*"},
    )
    assert [error["pointer"] for error in document["errors"]] == [f"/{field}"]
    assert picture(release) == before


@pytest.mark.parametrize("instant", ["2026-03-01T10:00:00", "2026-03-01", "soon", "0001-01-01T00:00:00+14:00"])
def test_an_instant_says_its_offset(manager: Caller, release: Release, instant: str) -> None:
    before = picture(release)
    document = manager.refused(
        "patch", f"{API}/releases/{release.number}/", {"planned_start": instant}, status=400, **{"If-Match": "*"}
    )
    assert document["errors"][0]["pointer"] == "/planned_start"
    assert picture(release) == before


def test_instants_are_answered_in_utc(manager: Caller, release: Release) -> None:
    body = {"planned_start": "2026-03-01T10:00:00+05:30"}
    answer = manager.patch(f"{API}/releases/{release.number}/", body, headers={"If-Match": "*"})
    assert answer.json()["planned_start"] == "2026-03-01T04:30:00Z"


@pytest.mark.parametrize(
    "query",
    [
        "colour=blue",
        "state=exploded",
        "state=%00",
        "product=%00",
        "product=x&product=%00",
        "search=%00",
        "page_size=0",
        "page_size=201",
        "page_size=²",
        "page_size=" + "9" * 50,
        "ordering=title",
        "ordering=-number",
        "ordering=%00",
        "cursor=x",
        "cursor=%00",
        "format=xml",
    ],
)
def test_a_query_that_means_nothing_is_400(manager: Caller, release: Release, query: str) -> None:
    document = manager.refused("get", f"{API}/releases/?{query}", status=400)
    assert document["detail"]


@pytest.mark.parametrize("path", ["events", "comments"])
def test_lists_of_a_record_know_no_other_parameter(manager: Caller, release: Release, path: str) -> None:
    manager.refused("get", f"{API}/releases/{release.number}/{path}/?kind=vote", status=400)


@pytest.mark.parametrize(
    "number",
    [
        "REL-0",
        "REL-999999",
        "REL-" + "9" * 40,
        "REL--1",
        "REL-1e3",
        "REL-²",
        "rel-1",
        "DEF-1",
        "1",
        "shop@",
        "@",
        "...",
    ],
)
def test_a_number_that_is_none_is_404(manager: Caller, release: Release, number: str) -> None:
    assert manager.refused("get", f"{API}/releases/{number}/", status=404)["code"] == "not_found"


@pytest.mark.parametrize("path", ["releases/%00/", "products/a%00/components/", "releases/REL-1%00/transitions/build/"])
def test_a_nul_in_a_path_is_400(manager: Caller, release: Release, path: str) -> None:
    manager.refused("post", f"{API}/{path}", {}, status=400, **{"Idempotency-Key": "k"})


def test_a_path_of_any_length_is_404(manager: Caller, release: Release) -> None:
    manager.refused("post", f"{API}/releases/REL-{'1' * 3_000}/comments/", {}, status=404, **{"Idempotency-Key": "k"})


def test_a_method_that_an_address_has_not_is_405(manager: Caller, release: Release) -> None:
    assert manager.refused("delete", f"{API}/releases/{release.number}/", status=405)["code"] == "method_not_allowed"
    assert manager.refused("options", f"{API}/releases/", status=405)


def test_an_answer_is_json_or_nothing(manager: Caller, product: Product) -> None:
    answer: Any = manager.get(f"{API}/products/", HTTP_ACCEPT="text/html")
    assert answer.status_code == 406
    assert problem(answer)["code"] == "not_acceptable"
