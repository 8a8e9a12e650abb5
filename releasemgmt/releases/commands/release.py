"""Commands on the release itself: plan it, edit it, say what it is made of, close it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import material
from releasemgmt.catalog.models import Component, Product, ReleaseModel, Tier
from releasemgmt.releases.commands.commits import refresh_commits
from releasemgmt.releases.models import Build, DefectLink, KnownDefect, Release, Risk
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, create, edit, fire, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid, WrongState
from releasemgmt.workflow.prepared import prepared

State = Release.State
EDITABLE = {State.PLANNED, State.BUILT, State.INTEGRATION_TESTED, State.ACCEPTED}


def create_release(
    *, product: Product, version: str, actor: User, now: datetime, **fields: Any
) -> tuple[Release, bool]:
    """Plan a release of a product; answers it and whether it is new.

    `fields` are those of the API's body, with records for names. The same request again answers the release that is
    there; another one under the same version is a Conflict.
    """
    with command():
        permit(actor, product, roles.edit_records, to="plan a release")
        components = fields.pop("components", [])
        depends_on = fields.pop("depends_on", [])
        model = fields.pop("model", None) or product.default_model
        _check_components(product, components)
        if model.pk != product.default_model_id:
            _check_model(product, model)
        release = Release(product=product, version=version, model=model, created_by=actor, **fields)
        data = {"version": version, "components": [component.key for component in components]}
        try:
            with transaction.atomic():
                release = create(release, actor=actor, data=data)
        except IntegrityError:
            return _same_or_conflict(product, version, {**fields, "model": model, "components": components}), False
        if components:
            release.components.set(components)
        if depends_on:
            release.depends_on.set(depends_on)
        carry_forward(release)
        return release, True


def edit_release(
    release: Release, *, changes: Mapping[str, Any], actor: User, now: datetime, void_signoffs: bool = False
) -> Release:
    """Change a release's own fields; `components` too, while it is planned."""
    with command():
        release = lock(release)
        permit(actor, release, roles.edit_records, to="edit releases")
        _check_editable(release)
        changes = dict(changes)
        components: Sequence[Component] | None = changes.pop("components", None)
        depends_on: Sequence[Release] | None = changes.pop("depends_on", None)
        _check_changes(release, changes)
        with material(release, void_signoffs=void_signoffs):
            release = edit(release, actor=actor, changes=changes)
            if components is not None:
                _set_components(release, components, actor=actor)
            if depends_on is not None:
                _set_dependencies(release, depends_on, actor=actor)
        return release


def set_builds(
    release: Release, *, builds: Sequence[Build], actor: User, now: datetime, void_signoffs: bool = False
) -> Release:
    """Say exactly which builds a release consists of; sending others once it is built is a rework by itself."""
    with command():
        release = lock(release)
        permit(actor, release, roles.edit_records, to="set the builds of a release")
        before = {build.digest for build in release.builds.all()}
        after = {build.digest for build in builds}
        _check_builds(release, builds)
        if before == after:
            return release
        with material(release, void_signoffs=void_signoffs):
            if release.state in (State.BUILT, State.INTEGRATION_TESTED):
                fire(release, "rework", actor=actor, now=now, reason="new builds")
            if release.state != State.PLANNED:
                allowed = [arrow.name for arrow in fsm.leaving(release)]
                raise WrongState(
                    f"{release.number} is {release.get_state_display().lower()}; its builds are fixed. "
                    "Send it back to work first.",
                    allowed=allowed,
                )
            release.builds.set(builds)
            added = {build.component_id for build in builds} - set(release.components.values_list("pk", flat=True))
            release.components.add(*added)
            data = {"changes": {"builds": [sorted(before), sorted(after)]}}
            record(release, "releases.release.set_builds", actor=actor, data=data, revise=True)
            refresh_commits(release)
        return release


def add_build(release: Release, *, build: Build, actor: User, now: datetime) -> Release:
    """Put one build into a release, in the place of an older one of the same component."""
    others = [other for other in release.builds.all() if other.component_id != build.component_id]
    return set_builds(release, builds=[*others, build], actor=actor, now=now)


def accept(release: Release, *, actor: User, now: datetime, on_behalf_of: User | None = None) -> Release:
    """Let a release go to production; the event names the round that stands behind it."""
    with command():
        release = lock(release)
        behind = import_string(settings.SIGNED_OFF_BY)(release, now=now) if fsm.find(release, "accept") else {}
        return fire(release, "accept", actor=actor, now=now, on_behalf_of=on_behalf_of, data=behind)


def close(
    release: Release, *, actor: User, now: datetime, review: str = "", on_behalf_of: User | None = None
) -> Release:
    """End a release's life, with the review where one is given."""
    with command():
        release = lock(release)
        if review.strip() and fsm.find(release, "close"):
            permit(actor, release, roles.manage_releases, to="review releases")
            release = edit(release, actor=actor, changes={"review": review}, kind="review")
        return fire(release, "close", actor=actor, now=now, on_behalf_of=on_behalf_of)


#: The transitions that are more than a `fire`; faces ask here first.
TRANSITIONS: Mapping[str, Callable[..., Release]] = {"accept": accept, "close": close}


def carry_forward(release: Release) -> None:
    """Link the product's open defects to its new release, so that nobody only half knows them."""
    links = [DefectLink(release=release, defect_id=defect) for defect in _open_defects(release.product_id)]
    DefectLink.objects.bulk_create(links)


@prepared
def _open_defects(product: int) -> QuerySet[KnownDefect, int]:
    return KnownDefect.objects.filter(product=product).open().order_by("pk").values_list("pk", flat=True)


def _same_or_conflict(product: Product, version: str, fields: Mapping[str, Any]) -> Release:
    """The release that has the version already, if the request says nothing else about it."""
    existing = Release.objects.select_related("product", "model").get(product=product, version=version)
    different = [name for name in fields if name != "components" and getattr(existing, name) != fields[name]]
    if set(existing.components.all()) != set(fields["components"]):
        different.append("components")
    if different:
        raise Conflict(
            f"{existing.alias} is there already as {existing.number}, with another {', '.join(different)}.",
            code="exists",
            number=existing.number,
            url=f"/api/v1/releases/{existing.number}/",
        )
    return existing


def _check_components(product: Product, components: Iterable[Component]) -> None:
    if strange := [component.key for component in components if component.product_id != product.pk]:
        raise Invalid({"components": f"{product.key} has no component {', '.join(strange)}."})


def _check_model(product: Product, model: ReleaseModel) -> None:
    tiers = {entry["tier"] for entry in model.suites}
    used = set(product.environments.values_list("tier", flat=True))
    if missing := tiers - used:
        names = ", ".join(Tier(tier).label.lower() for tier in sorted(missing))
        raise Invalid({"model": f"{model} tests in {names}, and {product.key} uses no such environment."})


def _check_editable(release: Release) -> None:
    if release.state not in EDITABLE:
        allowed = [arrow.name for arrow in fsm.leaving(release)]
        state = release.get_state_display().lower()
        raise WrongState(f"{release.number} is {state}; its content is history.", allowed=allowed)


def _check_changes(release: Release, changes: Mapping[str, Any]) -> None:
    on_hold = changes.get("on_hold", release.on_hold)
    if on_hold and not str(changes.get("hold_reason", release.hold_reason)).strip():
        raise Invalid({"hold_reason": "Say why it is on hold."})
    ranks = list(Risk.values)
    if "risk" in changes and ranks.index(changes["risk"]) < ranks.index(release.risk):
        raise Invalid({"risk": "Risk may be raised by people, never lowered."})
    version = changes.get("version", release.version)
    taken = Release.objects.filter(product=release.product, version=version).exclude(pk=release.pk)
    if version != release.version and taken.exists():
        raise Conflict(f"{release.product.key}@{version} is there already.", code="exists")


def _set_components(release: Release, components: Sequence[Component], *, actor: User) -> None:
    _check_components(release.product, components)
    before = sorted(release.components.values_list("key", flat=True))
    after = sorted(component.key for component in components)
    if before == after:
        return
    if release.state != State.PLANNED:
        raise WrongState(f"{release.number}: components change while it is planned.", allowed=["rework"])
    release.components.set(components)
    data = {"changes": {"components": [before, after]}}
    record(release, "releases.release.edit", actor=actor, data=data, revise=True)


def _set_dependencies(release: Release, others: Sequence[Release], *, actor: User) -> None:
    out_of_sight = release.depends_on.exclude(pk__in=Release.objects.visible_to(actor).values("pk"))
    others = [*others, *out_of_sight]  # whoever does not see them does not take them out
    if _reaches(others, release):
        raise Invalid({"depends_on": "A release can't depend on itself, not even through others."})
    before = sorted(release.depends_on.values_list("pk", flat=True))
    after = sorted(other.pk for other in others)
    if before != after:
        release.depends_on.set(others)
        data = {"changes": {"depends_on": [before, after]}}
        record(release, "releases.release.edit", actor=actor, data=data, revise=True)


def _reaches(others: Iterable[Release], release: Release) -> bool:
    seen, todo = set(), {other.pk for other in others}
    while todo:
        if release.pk in todo:
            return True
        seen |= todo
        todo = (
            set(Release.depends_on.through.objects.filter(from_release__in=todo).values_list("to_release", flat=True))
            - seen
        )
    return False


def _check_builds(release: Release, builds: Sequence[Build]) -> None:
    components = [build.component_id for build in builds]
    if any(build.product_id != release.product_id for build in builds):
        raise Invalid({"builds": "A build belongs to another product."})
    if any(build.status != Build.Status.SUCCEEDED for build in builds):
        raise Invalid({"builds": "A build that failed can't be released."})
    if len(set(components)) != len(components):
        raise Invalid({"builds": "A release has one build of each component."})
