"""Reading incidents: what was known when, what may have caused and ended one, whom it concerns; planned outages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    Case,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Concat

from approvals.models import ChangeRequest
from deployments.models import DeployedBuild, Deployment, Incident, IncidentRevision
from deployments.policies import SUSPECTED_FOR
from releasemgmt.accounts.models import Role, User
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.notifications.queries import people_in
from releasemgmt.workflow.models import Event

Status, State = Deployment.Status, ChangeRequest.State
#: Changes whose interval was approved, whatever came of them.
APPROVED = (State.SCHEDULED, State.IMPLEMENTATION, State.REVIEW, State.CLOSED)


@dataclass(frozen=True)
class Suspects:
    """The deployments that the service suspects where a person has confirmed none: what caused it, what ended it."""

    cause: Deployment | None
    fix: Deployment | None


def known_incidents(products: Collection[Product], *, as_of: datetime | None = None) -> QuerySet[IncidentRevision]:
    """What is known of the products' incidents, or was at a past instant: one row each, without what was withdrawn.

    Rows carry `incident_id` beside the facts; narrow them by `unplanned()`, `overlapping()` and the like.
    """
    rows: QuerySet[IncidentRevision] = IncidentRevision.objects.known(as_of).standing()
    return rows.filter(product__in=products)


def with_suspect(rows: QuerySet[Any], *, as_of: datetime | None = None) -> QuerySet[Any]:
    """Incidents, or revisions, with `suspect_id`: the deployment suspected as the cause where none is confirmed.

    It is the last one to production, to the incident's environment and with one of its components where these are
    known, that was over within the 24 hours before the start. It takes no statement more.
    """
    incident = OuterRef("incident" if rows.model is IncidentRevision else "pk")
    earliest = ExpressionWrapper(OuterRef("started_at") - SUSPECTED_FOR, output_field=DateTimeField())
    before = _over().filter(product=OuterRef("product"), finished_at__lte=OuterRef("started_at"))
    before = _in_place(before.filter(finished_at__gte=earliest), OuterRef("environment"), incident)
    if as_of:
        before = before.filter(recorded_at__lte=as_of)
    last = Subquery(before.order_by("-finished_at", "-pk").values("pk")[:1])
    found: QuerySet[Any] = rows.annotate(suspect_id=Case(When(caused_by=None, then=last)))
    return found


def incidents_of(deployments: Collection[Deployment]) -> QuerySet[Incident]:
    """The incidents whose cause a person confirmed, or the service suspects, among these deployments; by number."""
    rows = with_suspect(Incident.objects.standing().filter(product__in={each.product_id for each in deployments}))
    keys = [each.pk for each in deployments]
    return rows.filter(Q(caused_by__in=keys) | Q(suspect_id__in=keys)).order_by("pk")


def suspects(incident: Incident) -> Suspects:
    """What the service suspects of an incident; at most three statements."""
    if incident.withdrawn:
        return Suspects(None, None)
    found = with_suspect(Incident.objects.filter(pk=incident.pk)).values_list("suspect_id", flat=True)
    pk = None if incident.caused_by_id else found.first()
    shown = Deployment.objects.select_related("release", "product", "environment")
    cause = shown.filter(pk=pk).first() if pk else None
    fix = None if incident.fixed_by_id else _fix(incident, incident.caused_by_id or pk, shown)
    return Suspects(cause, fix)


def _fix(incident: Incident, cause: int | None, rows: QuerySet[Deployment]) -> Deployment | None:
    """What repaired the cause, else the last rollback, else, where it is over, whatever succeeded last before."""
    during = _over(rows).filter(
        product=incident.product_id, status=Status.SUCCEEDED, finished_at__gt=incident.started_at
    )
    during = _in_place(during, incident.environment_id, incident.pk)
    during = during.exclude(pk=cause) if cause else during
    repairs, goes_back = Q(remediates__isnull=False, remediates=cause), Q(kind=Deployment.Kind.ROLLBACK)
    if incident.restored_at:
        during = during.filter(finished_at__lte=incident.restored_at)
    else:
        during = during.filter(repairs | goes_back)
    likely = Case(When(repairs, then=0), When(goes_back, then=1), default=2)
    return during.order_by(likely, "-finished_at", "-pk").first()


def _over(rows: QuerySet[Deployment] | None = None) -> QuerySet[Deployment]:
    """Production deployments that changed something, be it that they failed."""
    found = Deployment.objects.all() if rows is None else rows
    return found.filter(environment__tier=Tier.PRODUCTION, status__in=[Status.SUCCEEDED, Status.FAILED])


def _in_place(rows: QuerySet[Deployment], environment: Any, incident: Any) -> QuerySet[Deployment]:
    """Those where the incident was, with one of its components; where that is not known, all."""
    key = OuterRef(incident) if isinstance(incident, OuterRef) else incident
    named = Incident.components.through.objects.filter(incident=key)
    with_one = DeployedBuild.objects.filter(deployment=OuterRef("pk"), component__incidents=key)
    if environment is not None:
        rows = rows.filter(environment=Coalesce(environment, F("environment")))
    return rows.filter(~Exists(named) | Exists(with_one))


def caused_by(deployment: Any) -> Exists:
    """Whether a person named that deployment (an outer reference) as the cause of an incident."""
    return Exists(Incident.objects.standing().filter(caused_by=deployment))


def planned_outages(
    products: Collection[Product], *, begin: datetime, end: datetime, as_of: datetime | None = None
) -> QuerySet[ChangeRequest]:
    """The changes that were allowed to interrupt the products in a half-open interval, in the order of their start.

    The outage lies somewhere in the approved interval and lasts `outage_minutes`. What was done first and recorded
    afterwards announced nothing. With `as_of`, those that were allowed at that instant.
    """
    rows = ChangeRequest.objects.filter(product__in=products, unauthorised=False, outage_expected=True)
    if as_of is None:
        allowed = rows.filter(state__in=APPROVED)
    else:
        stream = Concat(Value("changerequest:"), Cast(OuterRef("pk"), TextField()), output_field=TextField())
        moves = Event.objects.filter(stream=stream, at__lte=as_of).exclude(target="").order_by("-seq")
        allowed = rows.annotate(state_then=Subquery(moves.values("target")[:1])).filter(state_then__in=APPROVED)
    return allowed.overlapping(begin, end).order_by("planned_start", "pk")


def responders(event: Event) -> QuerySet[User, Any]:
    """Those who can do something about an incident: the deployers and release managers of the product's team."""
    return people_in(event.team_id, Role.DEPLOYER, Role.RELEASE_MANAGER)
