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


class anywhere(any_of):
    """Allows whoever holds one of the roles in any team: for what belongs to none."""

    def __call__(self, actor: User, obj: Aggregate) -> bool:
        return actor.has_scope(self.scope) and self.somewhere(actor)


class decided_by_record:
    """An action that no role alone allows: what the record says, in words; the command that carries it out asks."""

    def __init__(self, who: str, *, scope: str, action: str) -> None:
        self.who = who
        self.scope = scope
        self.action = action


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
ask_pre_approval = anywhere(MANAGER, Role.ADMINISTRATOR, action="Ask for the pre-approval of a model")
record_changes = any_of(MANAGER, system=True, action="`record` a change that was carried out already")
plan_deployments = any_of(MANAGER, DEPLOYER, action="Plans: draft, prepare, schedule, reopen, reschedule, cancel")
verify_preparation = any_of(MANAGER, DEPLOYER, Role.SERVICE, action="Say what was found of a plan's preparation list")
deploy = any_of(
    DEPLOYER, Role.SERVICE, scope=Scope.DEPLOY, action="Any task of a plan, back out; report deployments and what runs"
)
deploy_or_system = any_of(
    DEPLOYER, Role.SERVICE, scope=Scope.DEPLOY, system=True, action="Start or fail a plan, expose a release"
)
run_boards = any_of(Role.CAB_CHAIR, action="Boards, who sits on them, their meetings and the minutes")
run_windows = any_of(Role.CAB_CHAIR, action="Windows and freezes: make, edit, approve, end; approve overrides")
request_windows = any_of(MANAGER, DEPLOYER, action="Request a freeze, or an override of windows")
stop_line = any_of(
    MANAGER, DEPLOYER, Role.CAB_CHAIR, system=True, action="Stop the line; agree to go on after a stop by somebody else"
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
propose_policies = any_of(
    Role.ADMINISTRATOR, system=True, action="Propose and settle approval policies: one proposes, another one agrees"
)
administrate_or_system = any_of(
    Role.ADMINISTRATOR, system=True, action="Users, teams, roles, tokens of services, catalog, imports of past releases"
)
#: The same for pages, to which nobody comes as the system.
administrate = any_of(Role.ADMINISTRATOR)

comment = decided_by_record(
    "whoever sees the record, those who are auditors only excepted",
    scope=Scope.WRITE,
    action="Comment, ask a question in a round",
)
vote = decided_by_record(
    "people whom the round asks, by a role that they held when it opened, never on their own work; services never",
    scope=Scope.APPROVE,
    action="Vote",
)
delegate = decided_by_record(
    "people, of the roles that they hold, for a time", scope=Scope.APPROVE, action="Delegate votes, end a delegation"
)
take_back_vote = decided_by_record(
    "who cast it, while the round is open", scope=Scope.APPROVE, action="Take a vote back"
)
work_on_task = decided_by_record(
    "to whom it is assigned, or whose team, and deployers",
    scope=Scope.DEPLOY,
    action="Tick, fail, skip, retry, hand over a task",
)
accept_defect = decided_by_record(
    "release managers other than who reported it", scope=Scope.WRITE, action="Accept a known defect for a release"
)
keep_own_account = decided_by_record(
    "oneself", scope=Scope.WRITE, action="One's own name, e-mail, time zone, password, API tokens, inbox"
)


def visible_to(user: User, rows: Rows, *, team: str) -> Rows:
    """The rows whose team (a lookup path like `product__team`) the user belongs to, or all for a global role."""
    teams = user.visible_team_ids()
    return rows if teams is None else rows.filter(**{f"{team}__in": teams})
