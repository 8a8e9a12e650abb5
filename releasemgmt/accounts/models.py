"""Who acts: users of three kinds, the teams and roles they hold, and the tokens that machines show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q

from releasemgmt.workflow.commands import once
from releasemgmt.workflow.models import Aggregate, time_zone_exists


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
    time_zone = models.CharField(max_length=64, default="UTC", validators=[time_zone_exists])
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

    def roles_in(self, team_id: int | None) -> frozenset[str]:
        """The roles held in a team, the global ones included; asked once for a command."""
        return frozenset(role for role, team in self._role_rows() if team is None or team == team_id)

    def roles_anywhere(self) -> frozenset[str]:
        """The roles held in any team or globally."""
        return frozenset(role for role, _team in self._role_rows())

    def visible_team_ids(self) -> frozenset[int] | None:
        """The teams whose records this user sees; None means every team's."""
        rows = self._role_rows()
        if self.kind == self.Kind.SYSTEM or any(team is None for _role, team in rows):
            return None
        return frozenset(team for _role, team in rows if team is not None)

    def sees(self, obj: Aggregate) -> bool:
        """Whether the record is visible to this user; to others it does not exist."""
        teams = self.visible_team_ids()
        return teams is None or obj.owning_team_id is None or obj.owning_team_id in teams

    def may_comment_on(self, obj: Aggregate) -> bool:
        """Whoever sees a record may comment on it, those who are auditors only excepted."""
        return bool(self.roles_in(obj.owning_team_id) - {Role.AUDITOR})

    def has_scope(self, scope: str) -> bool:
        return scope in self.scopes

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Django's own permissions are not used: commands ask roles, and each admin page declares what it needs."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """Every person who is active may open the admin; each page filters what they see."""
        return self.is_active and self.kind == self.Kind.HUMAN

    def _role_rows(self) -> list[tuple[str, int | None]]:
        return once(("roles", self.pk), lambda: list(self.role_assignments.values_list("role", "team_id")))


class RoleAssignment(models.Model):
    """A role that a user holds, in one team or (team empty) globally."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_assignments")
    role = models.CharField(max_length=20, choices=Role.choices)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="role_assignments")
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "team"], name="role_once_in_a_team"),
            models.UniqueConstraint(fields=["user", "role"], condition=Q(team=None), name="global_role_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} in {self.team.name if self.team else 'every team'}"


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
