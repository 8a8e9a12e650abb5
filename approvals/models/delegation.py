"""Delegation: who votes in whose place, in which roles, from when to when."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from releasemgmt.accounts.models import User


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """Delegations, filtered in the domain's words."""

    def overlapping(self, starts_at: datetime, ends_at: datetime) -> DelegationQuerySet:
        """Those that are in force at some time between these."""
        live = Q(revoked_at=None) | Q(revoked_at__gt=starts_at) & Q(revoked_at__gt=F("starts_at"))
        return self.filter(live, starts_at__lt=ends_at, ends_at__gt=starts_at)

    def live(self, now: datetime) -> DelegationQuerySet:
        """Those in force or to come, the first to end first."""
        return self.filter(revoked_at=None, ends_at__gt=now).order_by("ends_at", "pk")

    def over(self, now: datetime) -> DelegationQuerySet:
        """Those that have ended, early or not."""
        return self.filter(Q(revoked_at__isnull=False) | Q(ends_at__lte=now))

    def of(self, user: User) -> DelegationQuerySet:
        """Those that a person gave or was given."""
        return self.filter(Q(delegator=user) | Q(delegate=user))


class Delegation(models.Model):
    """For a time somebody votes in the place of another, who still holds the roles; never passed on."""

    delegator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_given")
    delegate = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_held")
    #: The roles that it is about.
    roles = models.JSONField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = DelegationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(delegator=F("delegate")), name="delegation_to_another"),
            models.CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="delegation_starts_before_it_ends"),
        ]
        indexes = [
            models.Index(fields=["delegator", "-ends_at"], name="delegation_given"),
            models.Index(fields=["delegate", "-ends_at"], name="delegation_held"),
        ]
        ordering = ["-starts_at", "-id"]

    def __str__(self) -> str:
        return f"{self.delegate} for {self.delegator}"

    def standing(self, at: datetime) -> tuple[str, str]:
        """What has become of it by that instant: a value, and in words."""
        if self.covers(at):
            return "in_force", "In force"
        if self.revoked_at is not None and self.revoked_at <= at:
            return "ended", "Ended early"
        return ("to_come", "To come") if at < self.starts_at else ("over", "Over")

    def covers(self, at: datetime) -> bool:
        """Whether it was in force at that instant; its start belongs to it, its end does not."""
        return self.starts_at <= at < min(self.ends_at, self.revoked_at or self.ends_at)
