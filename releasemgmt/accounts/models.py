"""Who acts: users of three kinds, the teams and roles they hold, and the tokens that machines show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import F, Q
from django.utils.crypto import salted_hmac

from releasemgmt.workflow.commands import once
from releasemgmt.workflow.models import Aggregate, time_zone_exists
from releasemgmt.workflow.prepared import prepared


class Role(models.TextChoices):
    """The roles of the domain; each is held in a team or globally."""

    CONTRIBUTOR = "contributor", "Contributor"
    RELEASE_MANAGER = "release_manager", "Release manager"
    CAB_MEMBER = "cab_member", "CAB member"
    CAB_CHAIR = "cab_chair", "CAB chair"
    DEPLOYER = "deployer", "Deployer"
    AUDITOR = "auditor", "Auditor"
    ADMINISTRATOR = "administrator", "Administrator"
    SERVICE = "service", "Service"


class Scope(models.TextChoices):
    """What a token may be used for; every token may read."""

    WRITE = "write", "Write records"
    APPROVE = "approve", "Vote"
    DEPLOY = "deploy", "Deploy"


class Team(Aggregate):
    """The people who own products together."""

    key = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name

    @property
    def number(self) -> str:
        return self.key

    @property
    def owning_team_id(self) -> int | None:
        return self.pk


class User(AbstractUser, Aggregate):
    """Somebody who acts: a person, a service account, or the system itself."""

    class Kind(models.TextChoices):
        HUMAN = "human", "Person"
        SERVICE = "service", "Service account"
        SYSTEM = "system", "System"

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.HUMAN)
    email = models.EmailField(blank=True)
    #: Addresses of before; whoever wrote commits under one of them still has.
    former_emails = models.JSONField(default=list, editable=False)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[time_zone_exists])
    #: Part of what a session must match; raised where every session has to end for good.
    session_generation = models.PositiveIntegerField(default=0, editable=False)
    # Permissions come from roles; Django's own groups and permissions are not used.
    groups = None  # type: ignore[assignment]
    user_permissions = None  # type: ignore[assignment]

    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager[User]] = UserManager()  # type: ignore[assignment]  # the stub says Self

    #: The scopes of the token that this request showed; a person's own session has them all.
    scopes: frozenset[str] = frozenset(Scope.values)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=Q(kind="system"), name="one_system_user"),
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    @property
    def number(self) -> str:
        return self.username

    @property
    def addresses(self) -> frozenset[str]:
        """Every e-mail address that the person has or had, in lower case."""
        return frozenset(address.lower() for address in (self.email, *self.former_emails) if address)

    def roles_in(self, team_id: int | None) -> frozenset[str]:
        """The roles held in a team, the global ones included; asked once for a command."""
        return frozenset(held.role for held in self.roles_held() if held.team_id in (None, team_id))

    def roles_anywhere(self) -> frozenset[str]:
        """The roles held in any team or globally."""
        return frozenset(held.role for held in self.roles_held())

    def visible_team_ids(self) -> frozenset[int] | None:
        """The teams whose records this user sees; None means every team's."""
        teams = {held.team_id for held in self.roles_held()}
        return None if self.kind == self.Kind.SYSTEM or None in teams else frozenset(filter(None, teams))

    def sees(self, obj: Aggregate) -> bool:
        """Whether the record is visible to this user; to others it does not exist."""
        teams = self.visible_team_ids()
        return teams is None or obj.owning_team_id is None or obj.owning_team_id in teams

    def may_comment_on(self, obj: Aggregate) -> bool:
        """Whoever sees a record may comment on it, those who are auditors only excepted."""
        of_a_team = obj.owning_team_id is not None
        return bool((self.roles_in(obj.owning_team_id) if of_a_team else self.roles_anywhere()) - {Role.AUDITOR})

    def has_scope(self, scope: str) -> bool:
        return scope in self.scopes

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must match: it ends with the password, and with the generation of sessions."""
        generation = f"{self.session_generation}:{self.password}"
        return salted_hmac("releasemgmt.session", generation, secret=secret, algorithm="sha256").hexdigest()

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Django's own permissions are not used: commands ask roles, and each admin page declares what it needs."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """Every person who is active may open the admin; each page filters what they see."""
        return self.is_active and self.kind == self.Kind.HUMAN

    def roles_held(self) -> list[RoleAssignment]:
        """What the person holds, with the teams; asked once for a command, or a read."""
        return once(("roles", self.pk), lambda: list(_roles_of(self.pk)))


class RoleAssignment(models.Model):
    """A role that a user holds, in one team or (team empty) globally."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_assignments")
    role = models.CharField(max_length=20, choices=Role.choices)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="role_assignments")
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    #: What gave it at a sign-in by the provider, and takes it away again; empty for what people granted.
    mapping = models.ForeignKey(
        "GroupMapping", on_delete=models.PROTECT, null=True, blank=True, related_name="role_assignments"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "team"], name="role_once_in_a_team"),
            models.UniqueConstraint(fields=["user", "role"], condition=Q(team=None), name="global_role_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} in {self.team.name if self.team else 'every team'}"


@prepared
def _roles_of(user: int) -> models.QuerySet[RoleAssignment]:
    return RoleAssignment.objects.filter(user=user).select_related("team").order_by("role", "team__key")


class Proposal(models.Model):
    """Something that takes effect once a second person agrees; `bootstrap` where nobody else was there to ask."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "Proposed"
        ACCEPTED = "accepted", "Accepted"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    state = models.CharField(max_length=10, choices=State.choices, default=State.PROPOSED, editable=False)
    reason = models.TextField(blank=True)
    #: Nobody for what a migration ships.
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", editable=False)
    proposed_at = models.DateTimeField(null=True, editable=False)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)
    bootstrap = models.BooleanField(default=False, editable=False)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(bootstrap=True)
                | Q(proposed_by__isnull=False, proposed_at__isnull=False)
                & (
                    Q(state="proposed", decided_by=None, decided_at=None)
                    | ~Q(state="proposed") & Q(decided_by__isnull=False, decided_at__isnull=False)
                ),
                name="%(app_label)s_%(class)s_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(bootstrap=True)
                | Q(state="withdrawn")
                | Q(decided_by=None)
                | ~Q(decided_by=F("proposed_by")),
                name="%(app_label)s_%(class)s_second_person",
            ),
        ]

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody's decision."""
        return self.state == self.State.PROPOSED

    def decide(self, state: str, *, by: User, at: datetime) -> None:
        """Note the outcome; `commands.settle` asks first whether this person may."""
        self.state, self.decided_by, self.decided_at = state, by, at


class RoleRequest(Proposal):
    """A role that one administrator wants somebody to have and another one has to agree to."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_requests")
    role = models.CharField(max_length=20, choices=Role.choices)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="+")

    class Meta(Proposal.Meta):
        constraints = [
            *Proposal.Meta.constraints,
            models.UniqueConstraint(
                fields=["user", "role", "team"], condition=Q(state="proposed"), name="role_asked_for_once"
            ),
            models.UniqueConstraint(
                fields=["user", "role"], condition=Q(state="proposed", team=None), name="global_role_asked_for_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} in {self.team.name if self.team else 'every team'} for {self.user}"

    def as_data(self) -> Mapping[str, object]:
        """What events say of it."""
        team = self.team and self.team.key
        return {"role": self.role, "team": team, "request": self.pk, "reason": self.reason}


class GroupMapping(Proposal, Aggregate):
    """A group of the identity provider whose members hold a role: in force once two administrators agree."""

    group = models.CharField(max_length=200)
    role = models.CharField(max_length=20, choices=[choice for choice in Role.choices if choice[0] != Role.SERVICE])
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta(Proposal.Meta):
        constraints = [
            *Proposal.Meta.constraints,
            models.UniqueConstraint(
                fields=["group", "role", "team"],
                condition=Q(state__in=["proposed", "accepted"], ended_at=None),
                name="group_mapped_once",
            ),
            models.UniqueConstraint(
                fields=["group", "role"],
                condition=Q(state__in=["proposed", "accepted"], ended_at=None, team=None),
                name="group_mapped_globally_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.group}: {self.get_role_display()} in {self.team.name if self.team else 'every team'}"

    @property
    def number(self) -> str:
        return str(self)

    @property
    def owning_team_id(self) -> int | None:
        return self.team_id

    @property
    def in_force(self) -> bool:
        """Whether members of the group hold the role."""
        return self.state == self.State.ACCEPTED and self.ended_at is None

    def as_data(self) -> Mapping[str, object]:
        """What events say of it."""
        return {"group": self.group, "role": self.role, "team": self.team and self.team.key, "reason": self.reason}


class ApiToken(models.Model):
    """A secret that a machine or a script shows instead of a password; only its SHA-256 digest is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def as_data(self) -> Mapping[str, object]:
        """What events say of a token: never its secret."""
        return {"name": self.name, "prefix": self.prefix, "scopes": self.scopes, "expires_at": self.expires_at}
