"""Reads over releases: constant numbers of statements, whatever the size."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Product, ProductDocument, ReleaseModel
from releasemgmt.catalog.policies import gates_of
from releasemgmt.releases import policies
from releasemgmt.releases.models import Build, DefectLink, Document, Release, TestRun
from releasemgmt.workflow.commands import while_reading
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.prepared import prepared
from releasemgmt.workflow.queries import key_in, the_one, timeline


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
    return while_reading(("test plan", release.pk), lambda: _test_plan(release))


def builds_of(release: Release) -> list[Build]:
    """Its builds with their components. One statement."""
    builds = release.builds.select_related("component").order_by("component__key")
    return while_reading(("builds", release.pk), lambda: list(builds))


def _test_plan(release: Release) -> list[PlannedSuite]:
    latest: dict[tuple[str, str], TestRun] = {}
    if digests := [build.digest for build in builds_of(release)]:
        runs = TestRun.objects.filter(product=release.product_id, build_set=policies.build_set(digests))
        for run in runs.select_related("environment").order_by("finished_at", "id"):
            latest[run.suite, run.environment.tier] = run
    return [
        PlannedSuite(entry["suite"], entry["tier"], entry["gates"], latest.get((entry["suite"], entry["tier"])))
        for entry in release.model.suites
    ]


@prepared
def _components(release: int) -> QuerySet[Component]:
    return Component.objects.filter(releases=release)


@prepared
def _built(release: int) -> QuerySet[Build, int]:
    return Build.objects.filter(releases=release).values_list("component_id", flat=True)


def components(release: Release) -> list[Component]:
    """Its components by key; those that a list of releases has read with it are there."""
    is_there = "components" in getattr(release, "_prefetched_objects_cache", {})
    return list(release.components.all() if is_there else _components(release.pk))


def components_without_build(release: Release) -> list[str] | None:
    """The components that lack a build; None where the release has no component. Two statements."""
    rows = components(release)
    if not rows:
        return None
    built = set(_built(release.pk))
    return [component.key for component in rows if component.pk not in built]


def documents(release: Release, kinds: Collection[str]) -> dict[str, Document | ProductDocument]:
    """kind → what is written: the release's own document, else its product's where the model lets it inherit."""
    written = while_reading(("documents", release.pk), lambda: _documents(release))
    return {kind: document for kind, document in written.items() if kind in kinds}


def _documents(release: Release) -> dict[str, Document | ProductDocument]:
    own = release.documents.exclude(body="").select_related("updated_by")
    found: dict[str, Document | ProductDocument] = {document.kind: document for document in own}
    if inherited := set(release.model.inherited) - set(found):
        theirs = ProductDocument.objects.filter(product=release.product_id, kind__in=inherited).exclude(body="")
        found |= {document.kind: document for document in theirs.select_related("updated_by")}
    return found


def missing_documents(release: Release, before: str) -> list[str]:
    """The labels of documents that the model asks for before that transition and nobody has written."""
    wanted = [entry["kind"] for entry in release.model.documents if gates_of(entry) == before]
    written = {kind for kind, found in documents(release, wanted).items() if found.body.strip()} if wanted else set()
    return [Document.Kind(kind).label for kind in wanted if kind not in written]


def is_due_later(release: Release, kind: str) -> bool:
    """Whether a document may still be written though the release is out: the model asks for it before the end only."""
    due = [entry["kind"] for entry in release.model.documents if gates_of(entry) == "close"]
    return release.state in (Release.State.DEPLOYED, Release.State.ROLLED_BACK) and kind in due


def defect_links(release: Release) -> list[DefectLink]:
    """How it stands to each known defect, with the defects and their components. One statement."""
    links = release.defect_links.select_related("defect__component").order_by("defect_id")
    return while_reading(("defect links", release.pk), lambda: list(links))


def blocking_defects(release: Release, now: datetime) -> list[DefectLink]:
    """Links to open blockers and criticals that affect the release and are not accepted any more."""
    return [link for link in defect_links(release) if link.is_grave and not link.is_accepted(now)]


def moved_last_by(release: Release) -> User | None:
    """Who acted on the release last, or on whose behalf the system did: for whom the system moves it on."""
    event = timeline(release).filter(kind__startswith="releases.").select_related("actor", "on_behalf_of").first()
    return (event.on_behalf_of or event.actor) if event else None


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
        return the_one(rows.filter(product__key=key, version=version))
    number = key_in(name, Release.NUMBER_PREFIX)
    return None if number is None else the_one(rows.filter(pk=number))


def get_release(name: str, user: User) -> Release | None:
    """The release that the user names, if they see it."""
    return find(Release.objects.visible_to(user).select_related("product", "model"), name)


def registered(digests: Collection[str], *, user: User, product: Product | None = None) -> dict[str, Build]:
    """The builds of these digests, of the product or of what the user sees; of two with one digest the earlier."""
    rows = Build.objects.filter(digest__in=digests).select_related("product", "component").order_by("-pk")
    mine = rows.filter(product=product) if product else roles.visible_to(user, rows, team="product__team")
    return {build.digest: build for build in mine}
