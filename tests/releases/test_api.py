"""Releases over REST: what a pipeline's author meets."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from releasemgmt.releases.models import Release, TestRun
from tests.factories import ProductFactory
from tests.releases.world import World
from tests.web.world import API, Caller, picture

pytestmark = pytest.mark.django_db
DIGEST = "sha256:" + "a" * 64
BUILD = {"product": "shop", "component": "app", "commit": "a" * 40, "digest": DIGEST, "artifact_uri": "oci://x/1"}
BUILD |= {"built_at": "2026-03-01T10:00:00+01:00"}
RUN = {"builds": [DIGEST], "environment": "test", "suite": "smoke"}
RUN |= {"started_at": "2026-03-01T10:00:00Z", "finished_at": "2026-03-01T10:05:00Z"}
JUNIT = b'<testsuite tests="99" failures="0"><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuite><testcase name="&a;"/></testsuite>'


@pytest.fixture
def world() -> World:
    return World(ProductFactory(key="shop"))


@pytest.fixture
def ci(world: World) -> Caller:
    return Caller(world.ci)


def upload(content: bytes) -> dict[str, Any]:
    return {**RUN, "builds": DIGEST, "report": SimpleUploadedFile("report.xml", content, "application/xml")}


def test_the_same_release_again_is_200_and_another_one_409_with_its_url(ci: Caller) -> None:
    body = {"product": "shop", "version": "1.0", "title": "Spring", "components": ["app"]}
    made = ci.post(f"{API}/releases/", body)
    assert made.status_code == 201 and made["ETag"] == f'"{made.json()["number"]}.1"'
    assert ci.post(f"{API}/releases/", body).status_code == 200
    refused = ci.refused("post", f"{API}/releases/", body | {"title": "Autumn"}, status=409)
    assert refused["url"] == made.json()["url"] and Release.objects.count() == 1


def test_components_are_told_by_their_keys_in_order(ci: Caller, world: World) -> None:
    world.product.components.create(key="admin", name="Admin")
    body = {"product": "shop", "version": "1.0", "components": ["app", "admin"]}
    made = ci.post(f"{API}/releases/", body).json()
    listed = ci.get(f"{API}/releases/").json()["results"]
    assert [each["components"] for each in (made, *listed)] == [["admin", "app"]] * 2


def test_a_release_is_found_by_number_and_by_alias(ci: Caller, world: World) -> None:
    release = world.planned()
    for name in (release.number, "shop@1.0"):
        assert ci.get(f"{API}/releases/{name}/").json()["number"] == release.number
    for name in ("REL-0", "REL-x", "REL-99999999999999999999", "shop@2.0", "1"):
        ci.refused("get", f"{API}/releases/{name}/", status=404)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"state": "accepted"}, "/state"),
        ({"votes": []}, "/votes"),
        ({"planned_start": "2026-03-01T10:00:00"}, "/planned_start"),
        ({"risk": "none"}, "/risk"),
        ({"components": ["nope"]}, "/components"),
        ({"title": "a\x00b"}, None),
    ],
)
def test_a_body_that_means_nothing_is_400_and_changes_nothing(
    ci: Caller, world: World, body: dict[str, Any], pointer: str | None
) -> None:
    release = world.planned()
    before = picture(release)
    answer = ci.refused("patch", f"{API}/releases/{release.number}/", body, status=400, **{"If-Match": "*"})
    assert pointer is None or pointer in [error["pointer"] for error in answer["errors"]]
    assert picture(release) == before


def test_builds_are_put_under_the_parents_etag(ci: Caller, world: World) -> None:
    release = world.planned()
    path = f"{API}/releases/{release.number}/builds/"
    assert ci.post(f"{API}/builds/", BUILD).status_code == 201
    assert ci.post(f"{API}/builds/", BUILD).status_code == 200
    ci.refused("put", path, {"builds": [DIGEST]}, status=428)
    ci.refused("put", path, {"builds": [DIGEST]}, status=412, **{"If-Match": f'"{release.number}.9"'})
    ci.refused("put", path, {"builds": ["sha256:" + "0" * 64]}, status=400, **{"If-Match": "*"})
    put = ci.put(path, {"builds": [DIGEST]}, headers={"If-Match": f'"{release.number}.1"'})
    assert put.json()["builds"] == [DIGEST] and put["ETag"] == f'"{release.number}.2"'


def test_another_digest_for_a_registered_build_is_409(ci: Caller) -> None:
    ci.post(f"{API}/builds/", BUILD)
    ci.refused("post", f"{API}/builds/", BUILD | {"digest": "sha256:" + "b" * 64}, status=409)
    ci.refused("post", f"{API}/builds/", BUILD | {"digest": "md5:1"}, status=400)


def test_a_report_counts_its_cases_not_its_attributes(ci: Caller) -> None:
    ci.post(f"{API}/builds/", BUILD)
    answer = ci.post(f"{API}/test-runs/", upload(JUNIT), format="multipart")
    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in ("passed", "failed")} == {"passed": 1, "failed": 1}
    assert ci.post(f"{API}/test-runs/", RUN | {"passed": 3}).json()["passed"] == 3


@pytest.mark.parametrize("content", [ENTITIES, b"<testsuite/>", b"<testsuite><testcase", b"", b"PK\x03\x04"])
def test_a_report_that_can_not_be_read_is_400(ci: Caller, content: bytes) -> None:
    ci.post(f"{API}/builds/", BUILD)
    answer = ci.post(f"{API}/test-runs/", upload(content), format="multipart")
    assert answer.status_code == 400 and TestRun.objects.count() == 0


def test_a_huge_report_is_413_before_it_is_read(ci: Caller) -> None:
    ci.post(f"{API}/builds/", BUILD)
    answer = ci.post(f"{API}/test-runs/", upload(b" " * (21 * 1024 * 1024)), format="multipart")
    assert answer.status_code == 413 and TestRun.objects.count() == 0


@pytest.mark.parametrize("change", [{"passed": -1}, {"finished_at": "2026-03-01T09:00:00Z"}, {"suite": "vibes"}])
def test_a_run_that_can_not_be_is_400(ci: Caller, change: dict[str, Any]) -> None:
    ci.post(f"{API}/builds/", BUILD)
    ci.refused("post", f"{API}/test-runs/", RUN | {"passed": 1} | change, status=400)


def test_another_teams_release_is_absent_in_every_way(world: World) -> None:
    release = world.planned()
    stranger = Caller(World().manager)
    before = picture(release)
    for path in ("", "transitions/", "events/", "comments/", "builds/", "test-plan/", "defects/", "approval/"):
        method = "put" if path == "builds/" else "get"
        body: Any = {"builds": []} if path == "builds/" else None
        headers = {"If-Match": "*"} if path == "builds/" else {}
        stranger.refused(method, f"{API}/releases/{release.number}/{path}", body, status=404, **headers)
    stranger.refused("post", f"{API}/releases/{release.number}/transitions/cancel/", {"reason": "x"}, status=404)
    stranger.refused("post", f"{API}/releases/", {"product": "shop", "version": "9"}, status=400)
    assert stranger.get(f"{API}/releases/?product=shop").json()["results"] == []
    assert picture(release) == before


def test_a_closed_gate_answers_409_with_what_transitions_lists(ci: Caller, world: World) -> None:
    release = world.built()
    refused = ci.refused("post", f"{API}/releases/{release.number}/transitions/pass_integration/", {}, status=409)
    listed = ci.get(f"{API}/releases/{release.number}/transitions/").json()
    (same,) = [option for option in listed if option["name"] == "pass_integration"]
    assert refused["blockers"] == same["blockers"] and same["allowed"]


def test_a_wrong_state_answers_409_with_what_is_allowed(ci: Caller, world: World) -> None:
    release = world.planned()
    refused = ci.refused("post", f"{API}/releases/{release.number}/transitions/accept/", {}, status=409)
    assert refused["allowed_transitions"] == ["build", "cancel"]


def test_documents_are_read_and_written(ci: Caller, world: World) -> None:
    path = f"{API}/releases/{world.planned().number}/documents/impact/"
    ci.refused("get", path, status=404)
    assert ci.put(path, {"body": "# None"}, headers={"If-Match": "*"}).status_code == 200
    assert ci.get(path).json()["body"] == "# None"
    ci.refused("put", path.replace("impact", "poem"), {"body": "x"}, status=404, **{"If-Match": "*"})


def test_known_defects_live_over_rest(ci: Caller, world: World) -> None:
    body = {"product": "shop", "title": "It crashes", "severity": "blocker", "component": "app"}
    number = ci.post(f"{API}/known-defects/", body).json()["number"]
    record = f"{API}/known-defects/{number}/"
    ci.refused("post", f"{record}transitions/offer_workaround/", {}, status=400)
    done = ci.post(f"{record}transitions/offer_workaround/", {"workaround": "Restart it."}).json()
    assert (done["state"], done["workaround"]) == ("workaround_available", "Restart it.")
    assert ci.patch(record, {"severity": "minor"}, headers={"If-Match": "*"}).json()["severity"] == "minor"


def test_a_list_costs_the_same_for_any_length(ci: Caller, world: World, django_assert_max_num_queries: Any) -> None:
    for n in range(12):
        world.planned(f"{n}.0")
    with django_assert_max_num_queries(4):
        page = ci.get(f"{API}/releases/?state=planned&page_size=5").json()
    assert len(page["results"]) == 5
    assert len(ci.get(page["next"]).json()["results"]) == 5


def statements(captured: CaptureQueriesContext) -> int:
    """How many statements ran, without the savepoints that the test's own transaction makes of transactions."""
    return sum("SAVEPOINT" not in query["sql"] for query in captured.captured_queries)


def test_a_create_and_a_transition_cost_what_they_may(ci: Caller, world: World) -> None:
    release = world.built()
    with CaptureQueriesContext(connection) as creation:
        assert ci.post(f"{API}/releases/", {"product": "shop", "version": "3.0"}).status_code == 201
    with CaptureQueriesContext(connection) as transition:
        path = f"{API}/releases/{release.number}/transitions/rework/"
        assert ci.post(path, {"reason": "x"}).status_code == 200
    assert statements(creation) <= 10
    assert statements(transition) <= 8 + 1  # its gate asks once
