"""Gates of releases that releases know by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from releasemgmt.catalog.models import Tier
from releasemgmt.releases import queries
from releasemgmt.releases.models import Release, Suite
from releasemgmt.workflow.gates import Blocker

MANAGER, SERVICE = "release_manager", "service"


def not_on_hold(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """The release is not on hold."""
    if not release.on_hold:
        return []
    return [Blocker("on_hold", f"It is on hold: {release.hold_reason}. Release it from hold first.", (MANAGER,))]


def builds_complete(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """Each component has a build that succeeded."""
    missing = queries.components_without_build(release)
    if missing is None:
        return [Blocker("no_components", "It has no component; name at least one.", (MANAGER, SERVICE))]
    return [
        Blocker("build_missing", f"Component {key} has no build yet; register one and add it.", (SERVICE,))
        for key in missing
    ]


def integration_suites_passed(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """The suites that the model asks for before it have passed, on exactly these builds."""
    return _suites(release, "pass_integration")


def acceptance_suites_passed(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """The suites that the model asks for before acceptance have passed, on exactly these builds."""
    return _suites(release, "accept")


def documents_complete(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """Each document that the model asks for before acceptance is written, for the release or its product."""
    return _documents(release, "accept")


def late_documents_complete(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """Each document that the model lets come late is written."""
    return _documents(release, "close")


def no_blocking_defect(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """No open blocker or critical defect affects it, unless its acceptance holds."""
    return [
        Blocker(
            "blocking_defect",
            f"{link.defect.number} “{link.defect.title}” is {link.defect.severity}: fix it, or have it accepted.",
            (MANAGER,),
        )
        for link in queries.blocking_defects(release, now)
    ]


def review_recorded(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """A review is recorded where the model asks for one."""
    if release.review.strip() or not queries.needs_review(release):
        return []
    return [Blocker("review_missing", "Its model asks for a review; write one.", (MANAGER,))]


def exposure_settled(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """Somebody sees it, or it was withdrawn."""
    if release.exposures.exists() or release.state == Release.State.ROLLED_BACK:
        return []
    return [Blocker("not_exposed", "Nobody sees it yet: expose it, or withdraw it.", ("deployer",))]


def _documents(release: Release, transition: str) -> list[Blocker]:
    return [
        Blocker("document_missing", f"The document “{label}” is not written yet.", (MANAGER, "contributor"))
        for label in queries.missing_documents(release, transition)
    ]


def _suites(release: Release, transition: str) -> list[Blocker]:
    return [
        Blocker(
            "suite_not_passed",
            f"{Suite(entry.suite).label} in {Tier(entry.tier).label.lower()} {entry.why}.",
            (SERVICE, "contributor"),
        )
        for entry in queries.test_plan(release)
        if entry.gates == transition and not entry.passed
    ]
