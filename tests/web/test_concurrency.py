"""ETag and If-Match: nobody overwrites what they have not seen."""

from __future__ import annotations

from typing import Any

import pytest

from releasemgmt.releases.models import Release
from tests.web.world import API, Caller, picture


@pytest.fixture
def path(release: Release) -> str:
    return f"{API}/releases/{release.number}/"


def test_the_etag_is_number_and_revision(manager: Caller, release: Release, path: str) -> None:
    assert manager.get(path)["ETag"] == f'"{release.number}.1"'


def test_an_edit_without_if_match_is_428(manager: Caller, release: Release, path: str) -> None:
    before = picture(release)
    assert manager.refused("patch", path, {"title": "New"}, status=428)["code"] == "precondition_required"
    assert manager.refused("put", f"{path}documents/impact/", {"body": "x"}, status=428)
    assert manager.refused("put", f"{path}builds/", {"builds": []}, status=428)
    assert picture(release) == before


@pytest.mark.parametrize("etag", ['"REL-1.7"', '"REL-999.1"', "REL-1.1", "", '""'])
def test_an_edit_of_what_has_changed_is_412(manager: Caller, release: Release, path: str, etag: str) -> None:
    before = picture(release)
    document = manager.refused("patch", path, {"title": "New"}, status=412, **{"If-Match": etag})
    assert document["code"] == "stale"
    assert f"{release.number}.1" in document["detail"]
    assert picture(release) == before


def test_an_edit_of_what_was_read_passes_once(manager: Caller, path: str) -> None:
    read = manager.get(path)["ETag"]
    edited = manager.patch(path, {"title": "New"}, headers={"If-Match": read})
    assert (edited.status_code, edited.json()["title"], edited.json()["revision"]) == (200, "New", 2)
    assert edited["ETag"] == manager.get(path)["ETag"] != read
    manager.refused("patch", path, {"title": "Newer"}, status=412, **{"If-Match": read})


@pytest.mark.parametrize("given", ["*", '"x.1", {etag}'])
def test_a_star_and_a_list_are_accepted(manager: Caller, path: str, given: str) -> None:
    given = given.format(etag=manager.get(path)["ETag"])
    assert manager.patch(path, {"title": "New"}, headers={"If-Match": given}).status_code == 200


def test_a_put_on_a_sub_path_takes_and_returns_the_parents_etag(manager: Caller, path: str) -> None:
    read = manager.get(path)["ETag"]
    written = manager.put(f"{path}documents/impact/", {"body": "None."}, headers={"If-Match": read})
    assert written.status_code == 200
    assert written["ETag"] == manager.get(path)["ETag"] != read


def test_a_transition_honours_if_match_and_does_not_ask_for_it(
    manager: Caller, release: Release, path: str, no_gates: Any
) -> None:
    before = picture(release)
    manager.refused("post", f"{path}transitions/build/", {}, status=412, **{"If-Match": '"REL-1.7"'})
    assert picture(release) == before
    assert manager.post(f"{path}transitions/build/", {}).json()["state"] == "built"
    read = manager.get(path)["ETag"]
    passed = manager.post(f"{path}transitions/pass_integration/", {}, headers={"If-Match": read})
    assert passed.json()["state"] == "integration_tested"


def test_comments_leave_the_revision_as_it_is(manager: Caller, path: str) -> None:
    read = manager.get(path)["ETag"]
    assert manager.post(f"{path}comments/", {"body": "Looks good."}).status_code == 201
    assert manager.get(path)["ETag"] == read


def test_an_edit_that_changes_nothing_leaves_the_revision_as_it_is(
    manager: Caller, release: Release, path: str
) -> None:
    before = picture(release)
    assert manager.patch(path, {"title": ""}, headers={"If-Match": "*"}).status_code == 200
    assert picture(release) == before
