"""Reads over releases: constant numbers of statements, whatever the size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases import policies
from releasemgmt.releases.models import DefectLink, Document, KnownDefect, Release, TestRun
from releasemgmt.workflow.models import Event


@dataclass(frozen=True)
class PlannedSuite:
    """A suite that the model asks for, and the latest run of it on exactly the release's builds."""

    suite: str
    tier: str
    gates: str
    run: TestRun | None

    @property
    def passed(self) -> bool:
        return self.run is not None and self.run.has_passed

    @property
    def why(self) -> str:
        """Why it has not passed, as the end of a sentence."""
        if self.run is None:
            return "has not run on these builds"
        if self.run.passed == 0:
            return "ran no case"
        return f"has {self.run.failed} failed and {self.run.errors} broken cases"


def test_plan(release: Release) -> list[PlannedSuite]:
    """The model's suites, each with the run that decides it. Two statements."""
    latest: dict[tuple[str, str], TestRun] = {}
    digests = list(release.builds.values_list("digest", flat=True))
    if digests:
        runs = TestRun.objects.filter(product=release.product_id, build_set=policies.build_set(digests))
        for run in runs.select_related("environment").order_by("finished_at", "id"):
            latest[run.suite, run.environment.tier] = run
    return [
        PlannedSuite(entry["suite"], entry["tier"], entry["gates"], latest.get((entry["suite"], entry["tier"])))
        for entry in release.model.suites
    ]


def components_without_build(release: Release) -> list[str] | None:
    """The components that lack a build; None where the release has no component. One statement."""
    rows = list(release.components.values_list("key", "pk"))
    if not rows:
        return None
    built = set(release.builds.values_list("component_id", flat=True))
    return [key for key, pk in rows if pk not in built]


def missing_documents(release: Release) -> list[str]:
    """The labels of documents that the model asks for and nobody has written."""
    written = {d.kind for d in release.documents.all() if d.body.strip()}
    wanted = [entry["kind"] for entry in release.model.documents]
    return [Document.Kind(kind).label for kind in wanted if kind not in written]


def blocking_defects(release: Release, now: datetime) -> list[DefectLink]:
    """Links to open blockers and criticals that affect the release and are not accepted any more."""
    holds = Q(disposition=DefectLink.Disposition.ACCEPTED, accepted_until__gt=now)
    links = DefectLink.objects.filter(
        release=release,
        relation=DefectLink.Relation.AFFECTS,
        defect__severity__in=KnownDefect.BLOCKING,
        defect__state__in=KnownDefect.OPEN_STATES,
    )
    return list(links.exclude(holds).select_related("defect"))


def needs_review(release: Release) -> bool:
    """Whether the model asks for a review of this release: always, or after it was rolled back."""
    review = release.model.review
    if review == ReleaseModel.Review.AFTER_TROUBLE:
        return Event.objects.filter(stream=release.stream, kind="releases.release.roll_back").exists()
    return bool(review == ReleaseModel.Review.ALWAYS)


def find(rows: QuerySet[Release], name: str) -> Release | None:
    """The release of that number (`REL-12`) or alias (`shop@4.2.0`) among the rows."""
    key, at, version = name.partition("@")
    if at:
        return rows.filter(product__key=key, version=version).first()
    digits = name.removeprefix("REL-")
    if digits == name or not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        return None
    return rows.filter(pk=int(digits)).first()


def get_release(name: str, user: User) -> Release | None:
    """The release that the user names, if they see it."""
    return find(Release.objects.visible_to(user).select_related("product", "model"), name)
