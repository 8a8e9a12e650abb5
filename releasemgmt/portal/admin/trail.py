"""The audit trail, and what people were told."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.views.decorators.http import require_POST

from releasemgmt.accounts import roles
from releasemgmt.notifications import commands
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.portal import story
from releasemgmt.web.admin import NUMBER, ReadOnlyAdmin, actor_of, attempt, pill
from releasemgmt.workflow.models import Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Every event that the person may see, the newest first."""

    list_display = ("shown_at", "record", "happened", "actor")
    list_select_related = ("actor", "on_behalf_of")
    search_fields = ("stream",)
    search_help_text = "A record's number, like REL-4"
    ordering = ("-id",)

    @admin.display(description="At", ordering="id")
    def shown_at(self, event: Event) -> str:
        return str(localize(localtime(event.at)))

    @admin.display(description="Record")
    def record(self, event: Event) -> SafeString | str:
        return format_html('<a class="text-link" href="{}">{}</a>', *story.record(event))

    @admin.display(description="What happened")
    def happened(self, event: Event) -> str:
        return story.sentence(event)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return roles.visible_to(actor_of(request), Event.objects.all(), team="team_id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        return queryset.filter(stream=story.stream(search_term)) if search_term else queryset, False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything that is recorded of one event."""
        rows = Event.objects.select_related("actor", "on_behalf_of")
        event = rows.filter(pk=object_id).first() if NUMBER.fullmatch(object_id) else None
        if event is None or request.method not in ("GET", "HEAD"):
            raise Http404
        model, pk = story.subject(event)
        page_of: Any = self.admin_site.get_model_admin(model)
        if page_of.timeline(request, page_of.found(request, pk)) is None:  # whoever sees a timeline sees its events
            raise Http404
        where, name = story.record(event)
        page = {"title": f"Event {event.seq} of {name}", "opts": self.opts, "original": event, "event": event}
        context = {**self.admin_site.each_context(request), **page, "where": where, "name": name}
        return render(request, "portal/recorded.html", {**context, "data": json.dumps(event.data, indent=2)})


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """One's own inbox and mail."""

    list_display = ("subject", "told_at", "channel", "shown_state", "shown_read")
    list_display_links = None
    list_filter = ("channel", "state")
    ordering = ("-id",)

    @admin.display(description="Subject")
    def subject(self, entry: Delivery) -> SafeString:
        return format_html('<a class="font-semibold" href="{}">{}</a>', entry.url, entry.subject)

    @admin.display(description="Told", ordering="id")
    def told_at(self, entry: Delivery) -> str:
        return str(localize(localtime(entry.created_at)))

    @admin.display(description="State")
    def shown_state(self, entry: Delivery) -> SafeString:
        return pill(entry.state, entry.get_state_display())

    @admin.display(description="Read")
    def shown_read(self, entry: Delivery) -> SafeString | str:
        if entry.channel != Channel.INBOX:
            return ""
        return str(localize(localtime(entry.read_at))) if entry.read_at else pill("open", "Unread")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return Delivery.objects.filter(recipient=actor_of(request))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A notice has no page of its own: it leads to where it is answered."""
        entry = self.get_queryset(request).filter(pk=object_id).first() if NUMBER.fullmatch(object_id) else None
        if entry is None or request.method not in ("GET", "HEAD"):
            raise Http404
        return HttpResponseRedirect(entry.url)

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
