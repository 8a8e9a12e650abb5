"""Teams and oneself over REST."""

from __future__ import annotations

from typing import Any

import pytest

from releasemgmt.accounts.models import Team
from tests.factories import TeamFactory, someone
from tests.web.world import API, Caller, picture

pytestmark = pytest.mark.django_db
TEAMS = f"{API}/teams/"


@pytest.fixture
def administrator() -> Caller:
    return Caller(someone("administrator", username="admin"))


def test_me_says_who_i_am_and_what_this_token_may(django_assert_max_num_queries: Any) -> None:
    team = TeamFactory(key="shop")
    user = someone("deployer", team=team, username="ada", first_name="Ada", time_zone="Europe/Berlin")
    caller = Caller(user, scopes=["deploy"])
    with django_assert_max_num_queries(3 + 3):  # three of them for the rounds that wait
        me = caller.get(f"{API}/me/").json()
    assert me == {
        "username": "ada",
        "name": "Ada",
        "kind": "human",
        "time_zone": "Europe/Berlin",
        "scopes": ["deploy"],
        "roles": [{"role": "deployer", "team": "shop"}],
        "open_approvals": [],
    }


def test_a_global_role_has_no_team() -> None:
    assert Caller(someone("auditor")).get(f"{API}/me/").json()["roles"] == [{"role": "auditor", "team": None}]


def test_a_team_is_made_read_and_renamed(administrator: Caller) -> None:
    made = administrator.post(TEAMS, {"key": "shop", "name": "Shop"})
    assert (made.status_code, made["Location"]) == (201, f"{TEAMS}shop/")
    body = made.json()
    assert (body["number"], body["state"], body["revision"], body["permissions"]) == ("shop", None, 1, [])
    edited = administrator.patch(made["Location"], {"name": "The shop"}, headers={"If-Match": made["ETag"]})
    assert (edited.status_code, edited.json()["name"]) == (200, "The shop")
    kinds = [event["kind"] for event in administrator.get(f"{TEAMS}shop/events/").json()["results"]]
    assert kinds == ["accounts.team.edit", "accounts.team.create"]


def test_a_team_that_exists_or_has_no_key_is_refused(administrator: Caller) -> None:
    administrator.post(TEAMS, {"key": "shop", "name": "Shop"})
    shop = picture(Team.objects.get())
    assert administrator.refused("post", TEAMS, {"key": "shop", "name": "Two"}, status=409)["code"] == "exists"
    administrator.refused("post", TEAMS, {"key": "a b", "name": "Two"}, status=400)
    administrator.refused("patch", f"{TEAMS}shop/", {"key": "x"}, status=400, **{"If-Match": "*"})
    assert picture(Team.objects.get()) == shop


def test_one_sees_ones_own_teams_and_nobody_else_writes() -> None:
    mine, other = TeamFactory(key="mine"), TeamFactory(key="other")
    caller = Caller(someone("release_manager", team=mine))
    assert [row["key"] for row in caller.get(TEAMS).json()["results"]] == ["mine"]
    caller.refused("get", f"{TEAMS}other/", status=404)
    caller.refused("post", TEAMS, {"key": "x", "name": "X"}, status=403)
    before = picture(mine), picture(other)
    caller.refused("patch", f"{TEAMS}mine/", {"name": "X"}, status=403, **{"If-Match": "*"})
    caller.refused("patch", f"{TEAMS}other/", {"name": "X"}, status=404, **{"If-Match": "*"})
    assert (picture(mine), picture(other)) == before
