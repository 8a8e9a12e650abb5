"""My inbox and the event log over HTTP: mine only, and only what my teams did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from releasemgmt.accounts.models import Team, User
from releasemgmt.notifications import fanout
from releasemgmt.notifications.api import LogPagination
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.workflow.models import Event, OutboxHead
from tests.factories import TeamFactory, someone
from tests.notifications.world import tell

pytestmark = pytest.mark.django_db

INBOX, LOG = "/api/v1/notifications/", "/api/v1/events/"


def client(user: User) -> APIClient:
    browser = APIClient()
    browser.force_login(user)
    return browser


def read(user: User, address: str, **query: Any) -> Any:
    answer = client(user).get(address, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_my_inbox_lists_what_i_was_told_the_newest_first(
    team: Team, actor: User, reader: User, settings: Any, now: datetime
) -> None:
    settings.PUBLIC_URL = "https://release.example.org"
    tell(team, reader, actor=actor, news="first")
    tell(team, reader, actor=actor, news="second")
    fanout.drain(now=now)
    found = read(reader, INBOX)["results"]
    assert [entry["subject"] for entry in found] == ["shop: second", "shop: first"]
    assert found[0]["url"].startswith("https://release.example.org/admin/")
    assert (found[0]["kind"], found[0]["created_at"], found[0]["read_at"]) == (
        "tests.told",
        "2026-03-02T09:00:00Z",
        None,
    )
    assert read(actor, INBOX)["results"] == []


def test_a_read_entry_leaves_the_unread_ones(team: Team, actor: User, reader: User, now: datetime) -> None:
    tell(team, reader, actor=actor, news="first")
    tell(team, reader, actor=actor, news="second")
    fanout.drain(now=now)
    second, first = read(reader, INBOX)["results"]
    answer = client(reader).post(f"{INBOX}{second['id']}/read/")
    assert answer.status_code == 200
    assert answer.json()["read_at"]
    assert [entry["id"] for entry in read(reader, INBOX, unread="true")["results"]] == [first["id"]]
    assert client(reader).post(f"{INBOX}{second['id']}/read/").json() == answer.json()


def test_anothers_entry_and_an_email_are_not_there(team: Team, actor: User, reader: User, now: datetime) -> None:
    tell(team, reader, actor=actor)
    fanout.drain(now=now)
    entry, email = Delivery.objects.get(channel=Channel.INBOX), Delivery.objects.get(channel=Channel.EMAIL)
    for user, number in ((actor, entry.pk), (reader, email.pk), (reader, 10**30)):
        assert client(user).post(f"{INBOX}{number}/read/").status_code == 404
    assert not Delivery.objects.exclude(read_at=None).exists()


def test_a_page_of_the_inbox_costs_the_same_for_one_and_many(
    team: Team, actor: User, reader: User, now: datetime, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        tell(team, reader, actor=actor)
    fanout.drain(now=now)
    browser = client(reader)
    with django_assert_max_num_queries(4):
        page = browser.get(INBOX, {"page_size": 20}).json()
    assert len(page["results"]) == 20
    assert len(browser.get(page["next"]).json()["results"]) == 10


def test_the_log_is_read_by_position_to_its_end(team: Team, actor: User, now: datetime) -> None:
    for n in range(5):
        tell(team, actor=actor, news=str(n))
    fanout.drain(now=now)
    auditor = someone("auditor")
    end = OutboxHead.objects.get().position
    found: list[Any] = []
    page = read(auditor, LOG, page_size=2)
    while page["next"]:
        found += page["results"]
        page = client(auditor).get(page["next"]).json()
    found += page["results"]
    assert [event["position"] for event in found] == list(range(1, end + 1))
    assert page["position"] == end
    last = Event.objects.latest("pk")
    assert {name: found[-1][name] for name in ("stream", "seq", "kind", "actor", "hash", "prev_hash", "data")} == {
        "stream": team.stream,
        "seq": last.seq,
        "kind": "tests.told",
        "actor": "ada",
        "hash": last.hash,
        "prev_hash": last.prev_hash,
        "data": {"to": [], "news": "4"},
    }
    assert read(auditor, LOG, after=end)["results"] == []


def test_what_is_not_published_yet_has_no_place(team: Team, actor: User, now: datetime) -> None:
    fanout.drain(now=now)
    auditor = someone("auditor")
    before = read(auditor, LOG)["results"]
    tell(team, actor=actor)
    assert read(auditor, LOG)["results"] == before


def test_a_member_reads_the_events_of_their_teams_only(team: Team, actor: User, reader: User, now: datetime) -> None:
    other = TeamFactory(key="other")
    tell(other, actor=actor, news="secret")
    mine = tell(team, actor=actor)
    fanout.drain(now=now)
    assert [event["stream"] for event in read(reader, LOG)["results"]] == [mine.stream]
    assert read(someone(), LOG)["results"] == []
    auditor = someone("auditor")
    streams = {event["stream"] for event in read(auditor, LOG, page_size=200)["results"]}
    assert {other.stream, team.stream} < streams, "a global role sees also what belongs to no team"


def test_a_page_looks_at_a_bounded_part_of_the_log(
    team: Team, actor: User, reader: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogPagination, "span", 3)
    other = TeamFactory(key="other")
    for _ in range(7):
        tell(other, actor=actor)
    mine = tell(team, actor=actor)
    fanout.drain(now=now)
    page = read(reader, LOG)
    assert (page["results"], page["position"]) == ([], 3)
    while page["next"] and not page["results"]:
        page = client(reader).get(page["next"]).json()
    assert [event["hash"] for event in page["results"]] == [mine.hash]


@pytest.mark.parametrize(
    "query", [{"after": "-1"}, {"after": "x"}, {"after": "9" * 30}, {"page_size": 201}, {"since": 1}]
)
def test_a_query_that_makes_no_sense_is_refused(query: dict[str, Any], reader: User) -> None:
    answer = client(reader).get(LOG, query)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("address", [INBOX, LOG])
def test_nobody_reads_without_signing_in(address: str, db: None) -> None:
    assert APIClient().get(address).status_code == 401


def test_a_page_of_the_log_costs_the_same_for_one_and_many(
    team: Team, actor: User, now: datetime, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        tell(team, actor=actor)
    fanout.drain(now=now)
    browser = client(someone("auditor"))
    with django_assert_max_num_queries(5):
        browser.get(LOG)
