"""The second person: who agrees, who may not, and when nobody has to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from releasemgmt.accounts import commands
from releasemgmt.accounts.models import RoleAssignment, RoleRequest, User
from releasemgmt.workflow.errors import Conflict, NotPermitted
from tests.factories import TeamFactory, someone

pytestmark = pytest.mark.django_db
State = RoleRequest.State


def request_by(actor: User, now: datetime) -> RoleRequest:
    wanted = RoleRequest(user=someone(), role="deployer", reason="on duty from Monday")
    commands.propose(wanted, actor=actor, now=now)
    wanted.save()
    return wanted


def test_another_person_agrees(now: datetime) -> None:
    ada, bob = someone("administrator"), someone("administrator")
    wanted = request_by(ada, now)
    assert (wanted.state, wanted.proposed_by, wanted.decided_by, wanted.bootstrap) == ("proposed", ada, None, False)
    commands.consent(wanted, actor=bob, now=now)
    wanted = RoleRequest.objects.get(pk=wanted.pk)
    assert (wanted.state, wanted.decided_by, wanted.decided_at, wanted.bootstrap) == ("accepted", bob, now, False)


@pytest.mark.parametrize("settle", [commands.consent, commands.decline])
def test_the_proposer_does_not_decide(now: datetime, settle: Callable[..., None]) -> None:
    ada, _bob = someone("administrator"), someone("administrator")
    wanted = request_by(ada, now)
    with pytest.raises(NotPermitted, match="Another person has to agree") as caught:
        settle(wanted, actor=ada, now=now)
    assert caught.value.audited
    assert RoleRequest.objects.get(pk=wanted.pk).is_open


def test_only_the_proposer_takes_it_back(now: datetime) -> None:
    ada, bob = someone("administrator"), someone("administrator")
    wanted = request_by(ada, now)
    with pytest.raises(NotPermitted, match="you can decline it"):
        commands.withdraw(wanted, actor=bob, now=now)
    commands.withdraw(wanted, actor=ada, now=now)
    assert RoleRequest.objects.get(pk=wanted.pk).state == "withdrawn"


@pytest.mark.parametrize("first", [commands.consent, commands.decline])
@pytest.mark.parametrize("again", [commands.consent, commands.decline])
def test_it_is_decided_once(now: datetime, first: Callable[..., None], again: Callable[..., None]) -> None:
    ada, bob, carl = (someone("administrator") for _ in range(3))
    wanted = request_by(ada, now)
    first(wanted, actor=bob, now=now)
    with pytest.raises(Conflict, match="already"):
        again(wanted, actor=carl, now=now)
    assert RoleRequest.objects.get(pk=wanted.pk).decided_by == bob


def test_the_engine_and_the_first_administrator_act_alone(now: datetime) -> None:
    ada = someone("administrator")
    for actor in (commands.system(), ada):
        wanted = request_by(actor, now)
        assert (wanted.state, wanted.decided_by, wanted.bootstrap) == ("accepted", actor, True)


def test_from_the_second_administrator_on_nobody_acts_alone_even_if_the_other_is_shut_out(now: datetime) -> None:
    ada, bob = someone("administrator"), someone("administrator")
    assert not commands.may_act_alone(ada)
    commands.deactivate(bob, actor=ada, now=now)
    assert not commands.may_act_alone(ada)


def test_only_a_global_administrator_is_one(now: datetime) -> None:
    team = TeamFactory()
    local, ada = someone("administrator", team=team), someone("administrator")
    assert commands.may_act_alone(ada)
    assert not commands.may_act_alone(local)
    RoleAssignment.objects.filter(user=ada).delete()
    assert not commands.may_act_alone(local)


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": State.ACCEPTED},
        {"state": State.DECLINED},
        {"state": State.WITHDRAWN},
        {"proposed_by": None},
        {"proposed_at": None},
    ],
)
def test_the_database_wants_to_know_who(now: datetime, wrong: dict[str, Any]) -> None:
    someone("administrator")
    wanted = request_by(someone("administrator"), now)
    with pytest.raises(IntegrityError), transaction.atomic():
        RoleRequest.objects.filter(pk=wanted.pk).update(**wrong)


@pytest.mark.parametrize("state", [State.ACCEPTED, State.DECLINED])
def test_the_database_wants_two_people(now: datetime, state: str) -> None:
    ada, _bob = someone("administrator"), someone("administrator")
    wanted = request_by(ada, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        RoleRequest.objects.filter(pk=wanted.pk).update(state=state, decided_by=ada, decided_at=now)


def test_what_is_shipped_needs_nobody() -> None:
    RoleRequest.objects.create(user=someone(), role="auditor", state=State.ACCEPTED, bootstrap=True)
