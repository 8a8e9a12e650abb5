"""The page of delegations: given for a time, shown to the two and to those who watch, ended early."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from approvals.commands import delegate
from approvals.models import Delegation
from releasemgmt.accounts.models import User
from releasemgmt.workflow.models import Event
from tests.approvals.world import World
from tests.factories import someone
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db
LIST, ADD = reverse("admin:approvals_delegation_changelist"), reverse("admin:approvals_delegation_add")
WEEK = timedelta(days=7)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def deputy(world: World) -> User:
    return world.someone("contributor", username="deputy")


def given(giver: User, to: User, *, weeks: int = 1) -> Delegation:
    now = timezone.now()
    roles = sorted(giver.roles_anywhere())
    return delegate(to, roles=roles, starts_at=now, ends_at=now + weeks * WEEK, actor=giver, now=now)


def sent(giver: User, to: User, **fields: Any) -> Any:
    now = timezone.localtime()
    times = {"starts_at": now, "ends_at": now + WEEK} | {name: fields.pop(name) for name in {*fields} & {"ends_at"}}
    said = {name: at.strftime("%Y-%m-%dT%H:%M") if at else "" for name, at in times.items()}
    return signed_in(giver).post(ADD, {"delegate": to.pk, "roles": ["release_manager"], **said, **fields})


def shown(person: User) -> str:
    return str(signed_in(person).get(LIST).content.decode())


def end(delegation: Delegation) -> str:
    return reverse("admin:approvals_delegation_end", args=[delegation.pk])


def test_somebody_lets_another_vote_and_both_read_it(world: World, deputy: User) -> None:
    assert "Nobody: you vote yourself." in shown(world.signer)
    assert sent(world.signer, deputy, reason="Holidays")["Location"] == LIST
    made = Delegation.objects.get()
    assert (made.delegator, made.delegate, made.roles) == (world.signer, deputy, ["release_manager"])
    for person, other in ((world.signer, deputy), (deputy, world.signer)):
        html = shown(person)
        assert str(other) in html and "In force" in html and "Holidays" in html and end(made) in html


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ends_at": None}, "This field is required."),
        ({"ends_at": timezone.now() - WEEK}, "It ends after it starts"),
        ({"roles": []}, "This field is required."),
        ({"roles": ["cab_chair"]}, "cab_chair is not one of the available choices"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(world: World, deputy: User, fields: dict[str, Any], why: str) -> None:
    answer = sent(world.signer, deputy, **fields)
    assert answer.status_code == 400 and why in answer.content.decode()
    assert not Delegation.objects.exists() and not Event.objects.filter(kind="approvals.delegation.give").exists()


def test_nobody_delegates_to_themselves_to_a_stranger_or_onward(world: World, deputy: User) -> None:
    stranger = World().signer
    for to in (world.signer, stranger):
        assert sent(world.signer, to).status_code == 400
    given(world.signer, world.manager)
    before = Event.objects.filter(stream=world.manager.stream, kind="approvals.delegation.give").count()
    answer = sent(world.manager, deputy)
    assert "a delegation is not passed on" in answer.content.decode()
    assert Delegation.objects.count() == 1
    assert Event.objects.filter(stream=world.manager.stream, kind="approvals.delegation.give").count() == before


def test_either_of_the_two_ends_it_and_nobody_else(world: World, deputy: User) -> None:
    first, second = given(world.signer, deputy), given(world.chair, deputy)
    auditor = someone("auditor")
    assert signed_in(world.manager).post(end(first)).status_code == 404
    assert "Only the two people" in signed_in(auditor).post(end(first), follow=True).content.decode()
    first.refresh_from_db()
    assert first.revoked_at is None
    signed_in(world.signer).post(end(first))
    signed_in(deputy).post(end(second))
    assert not Delegation.objects.filter(revoked_at=None).exists()
    assert "Ended early" in shown(deputy) and end(first) not in shown(deputy)


def test_administrators_and_auditors_watch_over_their_teams(world: World, deputy: User) -> None:
    made = given(world.signer, deputy)
    ours = [someone("auditor"), someone("administrator"), world.someone("auditor"), world.administrator]
    for person in ours:
        html = shown(person)
        assert str(world.signer) in html and end(made) not in html
    elsewhere = World()
    for person in (world.manager, world.chair, elsewhere.administrator, elsewhere.someone("auditor")):
        assert str(world.signer) not in shown(person)


def test_whoever_has_no_vote_is_offered_no_form(world: World) -> None:
    auditor = world.someone("auditor")
    assert "You hold no role that is asked for a vote." in shown(auditor) and ADD not in shown(auditor)


def test_the_page_asks_the_same_however_many_there_are(world: World, deputy: User) -> None:
    auditor, counts = signed_in(someone("auditor")), []
    for giver in (world.signer, world.chair, *world.members):
        given(giver, deputy)
        with CaptureQueriesContext(connection) as asked:
            assert auditor.get(LIST).status_code == 200
        counts.append(len(asked))
    assert counts[1:] == counts[:1] * 3
