"""Queries that are built once find what the same queries built anew find."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Q, QuerySet
from django.test.utils import CaptureQueriesContext

from releasemgmt.accounts.models import Role, RoleAssignment, Team, User
from releasemgmt.workflow.prepared import planned_for_its_values, prepared
from tests.conftest import NOW
from tests.factories import TeamFactory, someone

pytestmark = pytest.mark.django_db
built: list[int] = []


@prepared
def held(roles: tuple[str, ...], until: datetime) -> QuerySet[RoleAssignment]:
    built.append(len(roles))
    return RoleAssignment.objects.filter(role__in=roles, granted_at__lte=until).select_related("user").order_by("pk")


@prepared
def named(first: str, second: str) -> QuerySet[User]:
    return User.objects.filter(Q(username=second) | Q(email=first, is_active=True)).order_by("pk")


@prepared
def names(keys: tuple[int, ...]) -> QuerySet[Team, tuple[str]]:
    return Team.objects.filter(pk__in=keys).order_by("name").values_list("name")


def test_it_finds_what_the_query_finds() -> None:
    people = [someone(role) for role in (Role.CAB_MEMBER, Role.CAB_CHAIR, Role.DEPLOYER)]
    found = list(held((Role.CAB_MEMBER, Role.DEPLOYER), NOW))
    assert [each.user for each in found] == [people[0], people[2]]
    assert found[0].user.username == people[0].username
    assert not list(held((Role.CAB_MEMBER, Role.DEPLOYER), NOW - timedelta(days=10_000)))


def test_its_sql_is_built_once_for_as_many_values_as_the_next_power_of_two() -> None:
    person = someone(Role.AUDITOR)
    built.clear()
    for roles in (("auditor", "deployer", "service"), ("service", "deployer", "auditor"), ("auditor",) * 4):
        assert [each.user for each in held(roles, NOW)] == [person]
    assert built == [4]


def test_values_keep_their_places() -> None:
    person = someone(username="somebody")
    assert named("nobody@example.org", "somebody").get() == person
    assert named("somebody", "nobody@example.org").first() is None
    with pytest.raises(User.DoesNotExist):
        named("somebody", "nobody").get()


def test_each_iteration_asks_anew_and_related_rows_come_along() -> None:
    person = someone(Role.AUDITOR)
    rows = held((Role.AUDITOR,), NOW)
    with CaptureQueriesContext(connection) as asked:
        assert [row.user.username for row in rows] == [person.username]
    assert len(asked) == 1
    RoleAssignment.objects.all().delete()
    assert not list(rows)


def test_tuples_of_values_work_too() -> None:
    teams = [TeamFactory(name=name) for name in ("B", "A", "C")]
    assert list(names(tuple(team.pk for team in teams[:2]))) == [("A",), ("B",)]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite keeps no plans")
def test_a_plan_is_kept_but_for_what_is_planned_for_its_values() -> None:
    def kept(column: str) -> int:
        for _ in range(5):
            list(Team.objects.filter(**{column: "x"}).values_list("revision"))
        asked = (
            f'SELECT "accounts_team"."revision" AS "revision" FROM "accounts_team" WHERE "accounts_team"."{column}" ='
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE strpos(statement, %s) > 0", [asked])
            return int(cursor.fetchone()[0])

    with planned_for_its_values():
        assert kept("key") == 0
    assert kept("name") == 1
