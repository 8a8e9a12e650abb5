"""Who may what: the table of roles and actions, in one place. Commands and transitions name its entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import QuerySet

from releasemgmt.accounts.models import Role, Scope

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User
    from releasemgmt.workflow.models import Aggregate

Rows = TypeVar("Rows", bound="QuerySet[Any]")


class any_of:
    """Allows whoever holds one of the roles in the record's team or globally; `scope` is what a token needs for it."""

    def __init__(self, *roles: str, scope: str = Scope.WRITE, system: bool = False, action: str = "") -> None:
        self.roles = roles
        self.scope = scope
        self.system = system
        self.action = action
        names = [Role(role).label.lower() for role in roles] + (["the system"] if system else [])
        self.description = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))

    def __call__(self, actor: User, obj: Aggregate) -> bool:
        if actor.kind == "system":
            return self.system
        if not actor.is_active or not actor.has_scope(self.scope):
            return False
        return not actor.roles_in(obj.owning_team_id).isdisjoint(self.roles)

    def somewhere(self, actor: User) -> bool:
        """Whether the actor holds one of the roles at all: pages offer a form by it, commands ask about the record."""
        return actor.is_active and not actor.roles_anywhere().isdisjoint(self.roles)


CONTRIBUTOR, MANAGER, DEPLOYER = Role.CONTRIBUTOR, Role.RELEASE_MANAGER, Role.DEPLOYER

edit_records = any_of(
    CONTRIBUTOR,
    MANAGER,
    DEPLOYER,
    Role.SERVICE,
    system=True,
    action="Create and edit releases, documents, defects, test runs, change drafts, incidents",
)
advance_releases = any_of(
    MANAGER, Role.SERVICE, system=True, action="`build`, `pass_integration`, `rework` before acceptance"
)
manage_releases = any_of(MANAGER, action="`accept`, `cancel`, `close`, open a round, dispositions of defects")
plan_deployments = any_of(MANAGER, DEPLOYER, action="Plans: draft, prepare, schedule, reopen, reschedule, cancel")
deploy = any_of(DEPLOYER, Role.SERVICE, scope=Scope.DEPLOY, action="Tick tasks, fail, expose, report deployments")
deploy_or_system = any_of(
    DEPLOYER, Role.SERVICE, scope=Scope.DEPLOY, system=True, action="Start a plan; the system does it when due"
)
#: Auditors change nothing, administrators don't deploy.
team_members = any_of(
    CONTRIBUTOR,
    MANAGER,
    Role.CAB_MEMBER,
    Role.CAB_CHAIR,
    DEPLOYER,
    Role.SERVICE,
    scope=Scope.DEPLOY,
    action="Start a plan where the environment is not change-controlled",
)
administrate = any_of(Role.ADMINISTRATOR, action="Users, teams, roles, tokens of services, catalog")
#: The same, for the commands that set an installation up.
administrate_or_system = any_of(Role.ADMINISTRATOR, system=True)


def visible_to(user: User, rows: Rows, *, team: str) -> Rows:
    """The rows whose team (a lookup path like `product__team`) the user belongs to, or all for a global role."""
    teams = user.visible_team_ids()
    return rows if teams is None else rows.filter(**{f"{team}__in": teams})
