"""The audit trail, and what people were told."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from releasemgmt.accounts import roles
from releasemgmt.notifications import commands
from releasemgmt.notifications.models import Delivery
from releasemgmt.web.admin import ReadOnlyAdmin, actor_of, attempt
from releasemgmt.workflow.models import Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Every event that the person may see, the newest first."""

    list_display = ("at", "stream", "seq", "kind", "actor", "source", "target")
    list_select_related = ("actor",)
    search_fields = ("stream",)
    ordering = ("-id",)
    fields = (*list_display, "on_behalf_of", "data", "request_id", "prev_hash", "hash")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return roles.visible_to(actor_of(request), Event.objects.all(), team="team_id")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """One's own inbox and mail."""

    list_display = ("created_at", "subject", "channel", "state", "read_at")
    list_filter = ("channel", "state")
    ordering = ("-id",)
    fields = (*list_display, "body", "sent_at", "attempts", "error")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return Delivery.objects.filter(recipient=actor_of(request))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.read_view))
        return [path("<int:pk>/read/", view, name="notifications_delivery_read"), *super().get_urls()]

    def read_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Mark an entry as read."""
        entry = self.get_queryset(request).filter(pk=pk).first()
        if entry is None:
            raise Http404
        act = partial(commands.mark_read, entry, actor=actor_of(request), now=timezone.now())
        attempt(request, act, done="")
        return HttpResponseRedirect(reverse("admin:index"))
