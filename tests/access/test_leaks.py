"""Another team's texts stand in no answer that a person of ours can get, and nothing says that their records exist.

Every text of theirs holds the canary. Whoever asks is an insider: somebody with every role in our team and none else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse

from releasemgmt.accounts.commands import revoke_role, system
from releasemgmt.workflow.models import Event
from tests.access import declared
from tests.access.callers import client_of, written
from tests.access.pages import PAGES, TRANSITIONS
from tests.access.test_api import ASKED, READS, WRITES, address
from tests.access.test_pages import address as page_address
from tests.access.world import Side, World
from tests.web.test_routes import API, ROUTES
from tests.web.world import Caller

pytestmark = pytest.mark.django_db
CANARY, PHANTOM = "kolibri", "phantom"
LISTS = [path for path in READS if "<" not in path and path != "me/"]
BASE = "/api/v1/"


@pytest.fixture(scope="package")
def caller(world: World) -> Caller:
    return Caller(world.insider)


@pytest.fixture(scope="package")
def insider(world: World) -> Client:
    return client_of(world.insider)


def text_of(answer: Any) -> str:
    """Headers and body, without what the request itself said."""
    headers = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
    return f"{headers}{answer.getvalue().decode()}"


def names_of(side: Side) -> dict[str, str]:
    """Each name of something of theirs, and a name of the same kind that nothing has."""
    numbers = {
        record.number: f"{record.number.partition('-')[0]}-999999"
        for record in (side.release, side.shipped, side.defect, side.change, side.plan)
    }
    digests = {build.digest: f"sha256:{'0' * 64}" for build in side.release.builds.all()}
    return {**numbers, **digests, side.release.alias: f"{PHANTOM}-shop@{PHANTOM}-1", CANARY: PHANTOM}


def masked(text: str, names: dict[str, str]) -> str:
    """The text with every name, and every name of nothing, in the same place."""
    for real, phantom in names.items():
        text = text.replace(real, "NAME").replace(phantom, "NAME")
    text = re.sub(r'"(request_id|instance)": ?"[^"]*"', "", text)
    text = re.sub(r"(X-Request-ID|Set-Cookie|Content-Length|Expires): .*", "", text)
    return re.sub(r"\d{3,}", "N", text)


#: Answers in which there is no text of a team, whoever asks.
WORDLESS = ("transitions/", "risk/", "conflicts/")
SILENT = {path for path in READS if path.startswith(declared.OF_NO_TEAM) or path.endswith(WORDLESS)}
SILENT |= {f"releases/<number>/{path}/" for path in ("exposures", "test-plan", "readiness")}
SILENT |= {"windows/status/"}


# --- what can be read ---


@pytest.mark.parametrize("path", READS)
def test_no_read_shows_a_text_of_theirs(path: str, world: World, caller: Caller) -> None:
    answer = caller.get(address(path, world.ours) + ASKED.get(path, ""))
    assert answer.status_code == 200
    assert CANARY not in text_of(answer)


@pytest.mark.parametrize("path", LISTS)
def test_no_page_order_or_search_of_a_list_shows_a_text_of_theirs(path: str, caller: Caller) -> None:
    view = ROUTES[BASE + path].cls
    orders = [sign + name for name in getattr(view, "orderings", ()) for sign in ("", "-")]
    searches = ["text", "kol", "-1"] if getattr(view, "search_fields", None) else []
    queries = ["page_size=1", *(f"ordering={each}&page_size=1" for each in orders), *(f"search={s}" for s in searches)]
    if path in ("environments/matrix/", "windows/status/", "kpis/"):
        queries = [""]
    for query in queries:
        where = f"{BASE}{path}{ASKED.get(path, '?')}&{query}"
        for _page in range(40):
            answer = caller.get(where)
            assert answer.status_code == 200, where
            assert CANARY not in text_of(answer).replace("search=kol", "")
            if not answer.json().get("next"):
                break
            where = answer.json()["next"]


@pytest.mark.parametrize("path", LISTS)
def test_a_filter_by_something_of_theirs_is_one_by_nothing(path: str, world: World, caller: Caller) -> None:
    filters = getattr(getattr(ROUTES[BASE + path].cls, "filterset_class", None), "base_filters", {})
    for name in filters:
        for real, phantom in names_of(world.theirs).items():
            theirs, nothing = (caller.get(f"{BASE}{path}", {name: value}) for value in (real, phantom))
            assert (theirs.status_code, masked(text_of(theirs), names_of(world.theirs))) == (
                nothing.status_code,
                masked(text_of(nothing), names_of(world.theirs)),
            )


def test_a_round_on_what_belongs_to_no_team_names_none_of_theirs(world: World, caller: Caller) -> None:
    assert CANARY not in text_of(caller.get(f"{BASE}approvals/{world.pre_approval.pk}/"))


def test_its_page_names_none_of_theirs(world: World, insider: Client) -> None:
    page = insider.get(reverse("admin:approvals_approvalround_change", args=[world.pre_approval.pk]))
    assert CANARY not in text_of(page)


def test_the_log_of_events_shows_our_own_alone(world: World, caller: Caller) -> None:
    seen: list[dict[str, Any]] = []
    where = f"{BASE}events/?after=0&page_size=50"
    while where:
        answer = caller.get(where)
        assert CANARY not in text_of(answer)
        seen += answer.json()["results"]
        where = answer.json()["next"]
    ours = Event.objects.filter(team_id=world.ours.team.pk, published__isnull=False).count()
    assert len(seen) == ours > 20


def test_a_cursor_made_of_a_row_of_theirs_leads_to_ours(world: World, caller: Caller) -> None:
    there = Caller(world.theirs.people["contributor"])
    cursor = there.get(f"{BASE}releases/?page_size=1").json()["next"].partition("cursor=")[2]
    assert cursor
    answer = caller.get(f"{BASE}releases/?cursor={cursor}")
    assert answer.status_code == 200 and CANARY not in text_of(answer)


# --- what is answered to who asks about theirs ---


@pytest.mark.parametrize("path", [path for path in API if "<" in path])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_what_is_theirs_is_as_if_it_were_not_there(path: str, method: str, world: World, caller: Caller) -> None:
    """Each method, with and without If-Match, with a body that would do and one that would not."""
    if path.startswith(declared.OF_NO_TEAM):
        return
    where = address(path, world.theirs)
    names = names_of(world.theirs)
    nowhere = re.sub(r"/(\d+)/", "/999999/", _renamed(where, names_of(world.theirs)))
    write = declared.API.get(f"{method} {path}")
    bodies = ["", "{}", json.dumps(write.body(world.theirs))] if write else [""]
    for body in bodies:
        for headers in ({}, {"If-Match": '"REL-1.1"', "Idempotency-Key": "k"}):
            answers = []
            for asked in (where, nowhere):
                with written():
                    answers.append(caller.generic(method, asked, body, "application/json", headers=headers))
            theirs, nothing = answers
            assert theirs.status_code == nothing.status_code, (body, headers, theirs.content, nothing.content)
            assert masked(text_of(theirs), names) == masked(text_of(nothing), names)


def _renamed(text: str, names: dict[str, str]) -> str:
    for real, phantom in names.items():
        text = text.replace(real, phantom)
    return text


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, _ in WRITES if "<name>" not in path])
def test_a_body_that_names_theirs_names_nothing(path: str, method: str, world: World, caller: Caller) -> None:
    """At an address of ours: each name of theirs is refused in the words for what does not exist."""
    where, names = address(path, world.ours), names_of(world.theirs)
    theirs = json.dumps(declared.API[f"{method} {path}"].body(world.theirs))
    nothing = _renamed(theirs, names)
    if theirs == nothing:
        return
    answers = []
    for body in (theirs, nothing):
        with written():
            answers.append(caller.generic(method, where, body, "application/json", headers={"If-Match": "*"}))
    assert answers[0].status_code == answers[1].status_code >= 400
    assert masked(text_of(answers[0]), names) == masked(text_of(answers[1]), names)


PEOPLE_AND_THINGS = [
    ("PATCH", "releases/<number>/", "release_manager", "kolibri-release_manager"),
    ("PATCH", "releases/<number>/", "requested_by", "kolibri-contributor"),
    ("PATCH", "changes/<number>/", "implementer", "kolibri-deployer"),
    ("PATCH", "changes/<number>/", "requested_by", "kolibri-contributor"),
    ("PATCH", "changes/<number>/", "components", ["kolibri-app"]),
    ("PATCH", "known-defects/<number>/", "component", "kolibri-app"),
]


@pytest.mark.parametrize(("method", "path", "name", "value"), PEOPLE_AND_THINGS)
def test_a_field_that_names_theirs_names_nothing(
    method: str, path: str, name: str, value: Any, world: World, caller: Caller
) -> None:
    answers = []
    for each in (value, json.loads(json.dumps(value).replace(CANARY, PHANTOM))):
        sent = json.dumps({name: each})
        with written():
            where = address(path, world.ours)
            answers.append(caller.generic(method, where, sent, "application/json", headers={"If-Match": "*"}))
    names = {CANARY: PHANTOM}
    assert [answer.status_code for answer in answers] == [400, 400]
    assert masked(text_of(answers[0]), names) == masked(text_of(answers[1]), names)


@pytest.mark.parametrize("assignee", ["kolibri-deployer", "kolibri-team"])
def test_a_task_is_assigned_to_nobody_of_theirs(assignee: str, world: World, caller: Caller) -> None:
    task = {"title": "Swap", "assignee": assignee}
    plan = declared.plan(world.ours) | {"tasks": [task]}
    refused = caller.refused("post", f"{BASE}deployment-plans/", plan, status=400)
    assert refused["detail"] == f"There is no user or team {assignee}."


def test_a_version_or_key_of_theirs_is_told_only_to_whom_may_take_it(world: World) -> None:
    """Keys are unique among all teams, so that one who may make a product hears that it is taken, and no more."""
    theirs, ours = world.theirs, world.ours
    body = {"key": theirs.product.key, "name": "Ours", "team": ours.team.key}
    for role in ("contributor", "release_manager", "auditor"):
        answers = [
            Caller(ours.people[role]).post(f"{BASE}products/", body | {"key": key}) for key in (body["key"], "new-key")
        ]
        assert [answer.status_code for answer in answers] == [403, 403]
    document = Caller(ours.people["administrator"]).refused("post", f"{BASE}products/", body, status=409)
    assert document["code"] == "exists" and "url" not in document and "text" not in document["detail"]


def test_the_same_version_as_theirs_is_free_for_us(world: World, caller: Caller) -> None:
    draft = {"product": world.ours.product.key, "version": world.theirs.release.version}
    with written():
        assert caller.post(f"{BASE}releases/", draft).status_code == 201


def test_a_key_of_theirs_replays_nothing_to_us(world: World, caller: Caller) -> None:
    there, draft = Caller(world.theirs.people["contributor"]), {"product": world.theirs.product.key, "version": "5"}
    key = {"Idempotency-Key": "one"}
    assert there.post(f"{BASE}releases/", draft, headers=key).status_code == 201
    answer = caller.post(f"{BASE}releases/", draft, headers=key)
    assert answer.status_code == 400 and "Idempotency-Replayed" not in answer


def test_a_replay_ends_with_the_role(world: World) -> None:
    """Who has left the team gets the kept answer no more, not even to the very request of then."""
    leaver = world.theirs.someone("contributor", username="leaver")
    caller, draft = Caller(leaver), {"product": world.theirs.product.key, "version": "6"}
    key = {"Idempotency-Key": "two"}
    assert caller.post(f"{BASE}releases/", draft, headers=key).status_code == 201
    assert "Idempotency-Replayed" in caller.post(f"{BASE}releases/", draft, headers=key)
    revoke_role(leaver.role_assignments.get(), actor=system())
    answer = caller.post(f"{BASE}releases/", draft, headers=key)
    assert "Idempotency-Replayed" not in answer and "number" not in answer.json()


# --- pages ---


def pages_of_ours() -> list[str]:
    return [path for path, page in PAGES.items() if page.shown]


@pytest.mark.parametrize("path", pages_of_ours())
def test_no_page_shows_a_text_of_theirs(path: str, world: World, insider: Client) -> None:
    answer = insider.get(page_address(path, world.ours))
    assert answer.status_code in (200, 302, 403)
    assert CANARY not in text_of(answer)


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_no_search_filter_or_order_of_a_list_shows_a_text_of_theirs(model: Any, insider: Client) -> None:
    where = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for query in ("q=kol", "q=-1", "all=", "o=1", "o=-1.2", "o=3.-2", "p=2", "e=1"):
        answer = insider.get(f"{where}?{query}")
        assert CANARY not in text_of(answer).replace("q=kol", ""), query


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_a_list_filters_by_nothing_but_what_it_offers(model: Any, world: World) -> None:
    """Else a column that the page does not show, or one behind a relation, could be read letter by letter."""
    page: Any = admin.site._registry[model]
    request = RequestFactory().get("/")
    request.user = world.insider
    offered = set(page.offered_lookups())
    for field in model._meta.get_fields():
        behind = field.related_model._meta.fields if field.is_relation and field.related_model else ()
        for column in (field.name, *(f"{field.name}__{other.name}" for other in behind)):
            for lookup in (column, f"{column}__startswith", f"{column}__gt", f"{column}__regex"):
                assert lookup in offered or not page.lookup_allowed(lookup, "k", request)


def test_no_password_can_be_read_letter_by_letter(world: World, insider: Client) -> None:
    for lookup in ("password__startswith", "api_tokens__digest__startswith", "role_assignments__team__key__startswith"):
        assert insider.get(reverse("admin:accounts_user_changelist"), {lookup: "k"}).status_code in (302, 400)


def test_a_colleagues_page_says_nothing_of_their_other_team(world: World, insider: Client) -> None:
    page = insider.get(reverse("admin:accounts_user_change", args=[world.colleague.pk]))
    assert page.status_code == 200 and "colleague" in page.content.decode()
    assert CANARY not in text_of(page) and "Auditor" not in page.content.decode()
    auditors = insider.get(reverse("admin:accounts_user_changelist"), {"role": "auditor"}).content.decode()
    assert "colleague" not in auditors
    for event in Event.objects.filter(stream=world.colleague.stream):
        assert insider.get(reverse("admin:workflow_event_change", args=[event.pk])).status_code == 404


def fields_with_suggestions() -> Iterator[tuple[str, str, str]]:
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.ForeignKey | models.ManyToManyField):
                yield model._meta.app_label, str(model._meta.model_name), field.name


def test_no_suggestion_shows_a_text_of_theirs(insider: Client) -> None:
    for app, model, field in fields_with_suggestions():
        where = {"app_label": app, "model_name": model, "field_name": field, "term": "kol"}
        answer = insider.get(reverse("admin:autocomplete"), where)
        assert answer.status_code in (200, 403, 404)
        assert CANARY not in text_of(answer), where


@pytest.mark.parametrize("query", ["s=kol", "s=kol&extended=1", "s=text", "s=text&extended=1"])
def test_the_search_over_everything_shows_no_text_of_theirs(query: str, insider: Client) -> None:
    assert CANARY not in text_of(insider.get(f"{reverse('admin:search')}?{query}"))


@pytest.mark.parametrize("path", [path for path in (*PAGES, *TRANSITIONS) if "<object_id>" in path or "<pk>" in path])
def test_a_page_about_theirs_is_as_if_it_were_not_there(path: str, world: World, insider: Client) -> None:
    if path in PAGES and not PAGES[path].is_ours:
        return
    where = page_address(path, world.theirs, transition="cancel")
    nowhere = re.sub(r"/\d+/", "/999999/", where, count=1)
    for method in ("get", "post"):
        theirs, nothing = (getattr(insider, method)(each) for each in (where, nowhere))
        assert theirs.status_code == nothing.status_code in (404, 405)
        assert masked(text_of(theirs), {}) == masked(text_of(nothing), {})


def choices_of_theirs(side: Side) -> dict[str, int]:
    """What a form of ours could be sent by hand: keys of rows of theirs."""
    return {
        "product": side.product.pk,
        "components": side.component.pk,
        "component": side.component.pk,
        f"component_{side.component.pk}": side.release.builds.get().pk,
        "release": side.release.pk,
        "releases": side.release.pk,
        "defect": side.defect.pk,
        "implementer": side.signer.pk,
        "release_manager": side.signer.pk,
        "chair": side.people["cab_chair"].pk,
        "members": side.people["cab_member"].pk,
        "team": side.team.pk,
    }


@pytest.mark.parametrize("path", [path for path, page in PAGES.items() if page.may])
def test_a_form_takes_nothing_of_theirs(path: str, world: World, insider: Client) -> None:
    """A row of theirs, chosen by hand, is refused in the words for a row that is not there."""
    page = PAGES[path]
    sent = dict(page.fields(world.ours))
    for name, pk in choices_of_theirs(world.theirs).items():
        if name not in sent:
            continue
        answers = []
        for value in (pk, 999_999):
            with written():
                answers.append(insider.post(page_address(path, world.ours), {**sent, name: value}))
        assert answers[0].status_code == answers[1].status_code == 400, (path, name)
        assert CANARY not in answers[0].content.decode()


# --- the test itself ---


def test_their_texts_are_there_to_be_found(world: World) -> None:
    """Who belongs to them finds the canary in nearly every answer: the test would see it."""
    there = Caller(world.theirs.people["release_manager"])
    silent = [
        path for path in READS if CANARY not in text_of(there.get(address(path, world.theirs) + ASKED.get(path, "")))
    ]
    assert set(silent) <= SILENT
