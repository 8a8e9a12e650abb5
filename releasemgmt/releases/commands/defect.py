"""Commands on known defects, and on what they mean for a release."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import material
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.release import EDITABLE
from releasemgmt.releases.models import DefectLink, KnownDefect, Release
from releasemgmt.workflow.commands import command, create, edit, lock, permit, record
from releasemgmt.workflow.errors import Invalid, NotPermitted


def create_defect(*, product: Product, title: str, actor: User, now: datetime, **fields: Any) -> KnownDefect:
    """Write down something that is known to be wrong with a product."""
    with command():
        permit(actor, product, roles.edit_records, to="report defects")
        defect = KnownDefect(product=product, title=title, reported_by=actor, **({"opened_at": now} | fields))
        _check_component(defect)
        return create(defect, actor=actor, data={"title": title, "severity": defect.severity})


def edit_defect(
    defect: KnownDefect, *, changes: Mapping[str, Any], actor: User, now: datetime, void_signoffs: bool = False
) -> KnownDefect:
    """Change a defect's description or severity; from major up it is part of what people sign of a release."""
    with command(), ExitStack() as stack:
        defect = lock(defect)
        permit(actor, defect, roles.edit_records, to="edit defects")
        before = defect.severity
        signed = [lock(release) for release in _releases_concerned(defect, changes.get("severity", ""))]
        for release in signed:
            stack.enter_context(material(release, void_signoffs=void_signoffs))
        defect = edit(defect, actor=actor, changes=changes)
        _check_component(defect)
        for release in signed:
            facts = {"defect": defect.number, "changes": {"severity": [before, defect.severity]}}
            record(release, "releases.defect_link.rate", actor=actor, data=facts)
        return defect


def link_defect(  # noqa: PLR0913 - a link's columns
    release: Release,
    *,
    defect: KnownDefect,
    actor: User,
    now: datetime,
    relation: str = "affects",
    disposition: str = "must_fix",
    reason: str = "",
    accepted_until: datetime | None = None,
    void_signoffs: bool = False,
) -> DefectLink:
    """Say what a defect means for a release and what is decided about it; said again, it replaces what was said."""
    with command():
        release = lock(release)
        permit(actor, release, roles.edit_records, to="link defects")
        if defect.product_id != release.product_id:
            raise Invalid({"defect": f"{defect.number} is of another product."})
        if disposition == DefectLink.Disposition.ACCEPTED:
            _check_acceptance(release, defect, reason=reason, accepted_until=accepted_until, actor=actor, now=now)
        else:
            accepted_until = None
        facts = {"disposition": disposition, "reason": reason, "accepted_until": accepted_until, "decided_by": actor}
        links = release.defect_links.filter(defect=defect, relation=relation)
        before = links.values_list("disposition", flat=True).first()
        with material(release, void_signoffs=void_signoffs):
            link, _ = DefectLink.objects.update_or_create(
                release=release, defect=defect, relation=relation, defaults=facts
            )
            data: dict[str, Any] = {
                "defect": defect.number,
                "relation": relation,
                "disposition": disposition,
                "reason": reason,
                "accepted_until": accepted_until,
            }
            if link.is_signed and disposition != before:
                data["changes"] = {"defects": [before, disposition]}
            record(release, "releases.defect_link.set", actor=actor, data=data, revise=True)
        return link


def _releases_concerned(defect: KnownDefect, severity: str) -> list[Release]:
    """The releases under way whose signed content changes with the severity."""
    is_signed = [each in KnownDefect.MATERIAL for each in (defect.severity, severity)]
    if not severity or is_signed[0] == is_signed[1]:
        return []
    links = {"defect_links__defect": defect, "defect_links__relation": DefectLink.Relation.AFFECTS}
    return list(Release.objects.filter(**links, state__in=EDITABLE).order_by("pk"))


def _check_component(defect: KnownDefect) -> None:
    if defect.component is not None and defect.component.product_id != defect.product_id:
        raise Invalid({"component": "The component is of another product."})


def _check_acceptance(
    release: Release, defect: KnownDefect, *, reason: str, accepted_until: datetime | None, actor: User, now: datetime
) -> None:
    permit(actor, release, roles.manage_releases, to="accept defects")
    if defect.reported_by_id == actor.pk:
        raise NotPermitted("You reported this defect; another release manager accepts it.")
    errors = {}
    if not reason.strip():
        errors["reason"] = "Say why it is accepted."
    if accepted_until is None or accepted_until <= now:
        errors["accepted_until"] = "Say until when, in the future."
    if errors:
        raise Invalid(errors)
