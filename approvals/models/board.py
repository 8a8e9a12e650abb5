"""Boards: who sits on a change advisory board, when it meets, what it talked about and what it decided."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from approvals.models.round import ApprovalRound
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role, Team, User
from releasemgmt.catalog.models import KEY
from releasemgmt.workflow.models import Aggregate, time_zone_exists

#: Roles by which somebody can sit on a board: an administrator gives the role, a chair the seat, so nobody makes a
#: voter alone. An emergency board is no exception.
SEATED = (Role.CAB_MEMBER, Role.CAB_CHAIR)
MINUTES_OF_A_DAY = 24 * 60
MINUTES_OF_TWO_WEEKS = 14 * MINUTES_OF_A_DAY


class BoardQuerySet(models.QuerySet["Board"]):
    """Boards, filtered in the domain's words."""

    def visible_to(self, user: User) -> BoardQuerySet:
        """Those of the user's teams; one for every team is seen by those with a role in every team."""
        return roles.visible_to(user, self, team="team")


class Board(Aggregate):
    """A change advisory board, of one team or (team empty) of all; an emergency board is asked when there is no time.

    `rule` says on which days it meets (RFC 5545), counted from `first_on`; empty where it meets only when called.
    """

    class Kind(models.TextChoices):
        NORMAL = "normal", "Normal"
        EMERGENCY = "emergency", "Emergency"

    key = models.CharField(max_length=40, unique=True, validators=[KEY])
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.NORMAL)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="boards")
    #: Sits on the board too.
    chair = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    rule = models.CharField(max_length=200, blank=True)
    first_on = models.DateField()
    start_time = models.TimeField()
    duration_minutes = models.PositiveSmallIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(MINUTES_OF_A_DAY)]
    )
    time_zone = models.CharField(max_length=64, default="UTC", validators=[time_zone_exists])
    #: How long before a meeting its agenda is closed.
    cut_off_minutes = models.PositiveIntegerField(
        default=MINUTES_OF_A_DAY, validators=[MinValueValidator(1), MaxValueValidator(MINUTES_OF_TWO_WEEKS)]
    )

    objects = BoardQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(duration_minutes__range=(1, MINUTES_OF_A_DAY)), name="board_meets_for_some_minutes"
            ),
            models.CheckConstraint(
                condition=Q(cut_off_minutes__range=(1, MINUTES_OF_TWO_WEEKS)), name="board_closes_its_agenda_before"
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="board_list")]
        ordering = ["key"]

    def __str__(self) -> str:
        return self.name

    @property
    def number(self) -> str:
        return self.key

    @property
    def owning_team_id(self) -> int | None:
        return self.team_id

    @property
    def duration(self) -> timedelta:
        """How long a meeting lasts."""
        return timedelta(minutes=self.duration_minutes)

    @property
    def cut_off(self) -> timedelta:
        """How long before a meeting its agenda is closed."""
        return timedelta(minutes=self.cut_off_minutes)


class MemberQuerySet(models.QuerySet["BoardMember"]):
    """Seats, filtered in the domain's words."""

    def seated(self) -> MemberQuerySet:
        """Those whose holder may fill them now: active people who still hold a role of the CAB where the board is."""
        here = Q(user__role_assignments__team=None) | Q(user__role_assignments__team=F("board__team"))
        held = here & Q(user__role_assignments__role__in=SEATED)
        return self.filter(held, user__is_active=True, user__kind=User.Kind.HUMAN).distinct()


class BoardMember(models.Model):
    """A seat on a board, and since when; in a round that opened before that it doesn't count."""

    board = models.ForeignKey(Board, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="board_seats")
    since = models.DateTimeField()

    objects = MemberQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["board", "user"], name="board_member_once")]
        ordering = ["user__first_name", "user__username"]

    def __str__(self) -> str:
        return f"{self.user} on {self.board}"


class MeetingQuerySet(models.QuerySet["Meeting"]):
    """Meetings, filtered in the domain's words."""

    def visible_to(self, user: User) -> MeetingQuerySet:
        """Those of the boards that the user sees."""
        return roles.visible_to(user, self, team="board__team")

    def planned(self) -> MeetingQuerySet:
        """Those that were neither held nor cancelled."""
        return self.filter(state=Meeting.State.PLANNED)

    def ahead(self, now: datetime) -> MeetingQuerySet:
        """The planned ones that have not begun, the next first."""
        return self.planned().filter(starts_at__gt=now).order_by("starts_at")

    def due_for_agenda(self, now: datetime) -> MeetingQuerySet:
        """The planned ones whose cut-off has passed and whose agenda is still open."""
        return self.planned().filter(cut_off_at__lte=now, agenda_at=None).order_by("starts_at")


class Meeting(models.Model):
    """A sitting of a board: its agenda is closed at the cut-off, its minutes are fixed when it has been held."""

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        HELD = "held", "Held"
        CANCELLED = "cancelled", "Cancelled"

    board = models.ForeignKey(Board, on_delete=models.PROTECT, related_name="meetings")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    cut_off_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED, editable=False)
    #: Called by a person, so a changed rule leaves it where it is.
    extra = models.BooleanField(default=False, editable=False)
    #: When the agenda was closed.
    agenda_at = models.DateTimeField(null=True, blank=True, editable=False)
    notes = models.TextField(blank=True)
    attendees = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)
    #: Markdown, as they stood when the meeting ended.
    minutes = models.TextField(blank=True, editable=False)
    #: When it was held or cancelled, and by whom that was said.
    settled_at = models.DateTimeField(null=True, blank=True, editable=False)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )

    objects = MeetingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["board", "starts_at"], name="meeting_once_at_a_time"),
            models.CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="meeting_starts_before_it_ends"),
            models.CheckConstraint(condition=Q(cut_off_at__lt=F("starts_at")), name="agenda_closes_before_the_meeting"),
            models.CheckConstraint(
                condition=Q(state="planned", settled_at=None, settled_by=None)
                | (~Q(state="planned") & Q(settled_at__isnull=False, settled_by__isnull=False)),
                name="meeting_is_settled_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["-starts_at", "-id"], name="meeting_list"),
            models.Index(fields=["cut_off_at"], condition=Q(state="planned", agenda_at=None), name="agenda_to_close"),
        ]

    def __str__(self) -> str:
        return f"{self.board}, {self.starts_at:%Y-%m-%d %H:%M} UTC"

    @property
    def is_planned(self) -> bool:
        """Whether it is neither held nor cancelled."""
        return self.state == self.State.PLANNED

    def settle(self, state: str, *, by: User, at: datetime) -> None:
        """Set how it ended; the command saves it."""
        self.state, self.settled_by, self.settled_at = state, by, at


class AgendaItem(models.Model):
    """A round that a meeting talks about: notes, and a decision that is the meeting's record and nobody's vote."""

    class Decision(models.TextChoices):
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        DEFERRED = "deferred", "Deferred"

    meeting = models.ForeignKey(Meeting, on_delete=models.CASCADE, related_name="items")
    round = models.ForeignKey(ApprovalRound, on_delete=models.PROTECT, related_name="agenda_items")
    position = models.PositiveSmallIntegerField()
    notes = models.TextField(blank=True)
    decision = models.CharField(max_length=10, choices=Decision.choices, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["meeting", "round"], name="round_once_on_an_agenda"),
            models.UniqueConstraint(fields=["meeting", "position"], name="agenda_item_has_its_place"),
            models.CheckConstraint(
                condition=Q(decision="", decided_at=None, decided_by=None)
                | (~Q(decision="") & Q(decided_at__isnull=False, decided_by__isnull=False)),
                name="agenda_item_is_decided_by_somebody",
            ),
        ]
        ordering = ["meeting", "position"]

    def __str__(self) -> str:
        return f"{self.position}. {self.round.subject}"
