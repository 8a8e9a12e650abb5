"""What is scheduled, in templates."""

from __future__ import annotations

from django import template
from django.urls import reverse

from deployments.queries import Entry

register = template.Library()
ADDRESSES = {
    "change": "approvals_changerequest",
    "plan": "deployments_deploymentplan",
    "window": "deployments_window",
    "freeze": "deployments_window",
}
KINDS = {"change": "Change", "plan": "Deployment plan", "window": "Maintenance window", "freeze": "Freeze"}


@register.filter
def page_of(entry: Entry) -> str:
    """The address of the record."""
    return reverse(f"admin:{ADDRESSES[entry.kind]}_change", args=[entry.record.pk])


@register.filter
def kind_of(entry: Entry) -> str:
    """What it is, in words."""
    return KINDS[entry.kind]


@register.filter
def places_of(entry: Entry) -> str:
    """Where it counts, in words."""
    return ", ".join(str(environment) for environment in entry.environments) or "no environment named"
