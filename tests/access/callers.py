"""Everybody who may knock at an address: each role in each place, tokens of each scope, and those who are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.test import Client

from releasemgmt.accounts.models import Role, Scope, User
from releasemgmt.workflow import commands
from tests.access.world import World
from tests.web.world import Caller

EVERY_SCOPE = frozenset(Scope.values)
#: A refusal writes on the caller's own stream, a request under a session may touch that.
OF_A_REFUSAL = frozenset({"workflow_event", "workflow_pending", "accounts_user", "django_session"})


@dataclass(frozen=True)
class Knocker:
    """Somebody at the door: `place` is ours, theirs, everywhere or nowhere, as seen from the record that is ours."""

    name: str
    place: str
    role: str
    client: Any
    scopes: frozenset[str] = EVERY_SCOPE
    is_known: bool = True

    @property
    def sees(self) -> bool:
        """Whether our records are there for them."""
        return self.is_known and self.place in ("ours", "everywhere")

    def holds(self, may: Any, *, of_a_team: bool) -> bool:
        """Whether one of the roles is theirs, on a record of our team or of none."""
        return self.role in may and (self.place == "everywhere" or (self.place == "ours" and of_a_team))

    def is_named(self, roles: Any) -> bool:
        """Whether they are the one of ours whom the record names."""
        return self.place == "ours" and self.role in roles


def client_of(user: User) -> Client:
    """A browser in which the person has signed in; an exception of the service is an answer."""
    client = Client(raise_request_exception=False)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def with_tokens(world: World) -> list[Knocker]:
    """Those who show a token, and those who show none or one that is void."""
    found = [Knocker("anonymous", "nowhere", "", Client(raise_request_exception=False), is_known=False)]
    found += [Knocker(f"{role} of ours", "ours", role, Caller(world.ours.people[role])) for role in Role.values]
    found += [Knocker(f"{role} of theirs", "theirs", role, Caller(world.theirs.people[role])) for role in Role.values]
    found += [Knocker(f"{role} everywhere", "everywhere", role, Caller(world.everywhere[role])) for role in Role.values]
    found += [Knocker(user.username, "nowhere", "", Caller(user)) for user in (world.nobody, world.superuser)]
    for scopes in ([], *([scope] for scope in Scope.values)):
        caller = Caller(world.ours.people["service"], scopes=scopes)
        found.append(Knocker(f"a token for {scopes}", "ours", "service", caller, scopes=frozenset(scopes)))
    gone = world.ours.someone("release_manager", username="gone")
    token, session = Caller(gone), client_of(gone)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    found += [Knocker("a token of one who is gone", "ours", "", token, is_known=False)]
    return [*found, Knocker("a session of one who is gone", "ours", "", session, is_known=False)]


def with_sessions(world: World) -> list[Knocker]:
    """People in their browsers; a service account and somebody who is gone have no pages."""
    people = [role for role in Role.values if role != Role.SERVICE]
    found = [Knocker("anonymous", "nowhere", "", Client(raise_request_exception=False), is_known=False)]
    for place, held in (("ours", world.ours.people), ("theirs", world.theirs.people), ("everywhere", world.everywhere)):
        found += [Knocker(f"{role} {place}", place, role, client_of(held[role])) for role in people]
    found += [Knocker(user.username, "nowhere", "", client_of(user)) for user in (world.nobody, world.superuser)]
    gone = world.ours.someone("release_manager", username="left")
    session = client_of(gone)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    shut = {"gone": session, "service": client_of(world.ours.people["service"])}
    return [*found, *(Knocker(name, "ours", "", client, is_known=False) for name, client in shut.items())]


def one_of_each_kind(callers: list[Knocker]) -> list[Knocker]:
    """A manager of ours, of theirs and of every team, an auditor, and whoever is none of these."""
    return [each for each in callers if each.role in ("", "release_manager", "auditor")]


#: Tables of business facts.
GOVERNED = ("accounts_", "approvals_", "catalog_", "deployments_", "releases_", "workflow_")


def in_a_command() -> bool:
    running = commands._context.get()
    return running is not None and running.is_command


@dataclass
class Writing:
    """What a request did to the database: the tables that it wrote to, and whether a refusal was recorded."""

    tables: set[str] = field(default_factory=set)
    #: Tables of ours to which something else than a command wrote: there must be none.
    past_commands: set[str] = field(default_factory=set)
    refused: bool = False

    @property
    def beyond_a_refusal(self) -> set[str]:
        return self.tables - OF_A_REFUSAL


@contextmanager
def written() -> Iterator[Writing]:
    """What the block writes; all of it is rolled back at its end."""
    found = Writing()

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        words = sql.split(None, 3)
        if words[0] in ("INSERT", "UPDATE", "DELETE"):
            table = words[1 if words[0] == "UPDATE" else 2].strip('"')
            found.tables.add(table)
            if table.startswith(GOVERNED) and not in_a_command():
                found.past_commands.add(table)
            found.refused |= "workflow.refused" in (params or ())
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(look):
        yield found
        transaction.set_rollback(True)
