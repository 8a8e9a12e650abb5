"""Releases brought to their states by commands, for the tests of releases."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.commands import (
    create_defect,
    create_release,
    record_test_run,
    register_build,
    set_builds,
    write_document,
)
from releasemgmt.releases.models import Build, Document, KnownDefect, Release
from releasemgmt.workflow.commands import fire
from tests.conftest import NOW
from tests.factories import ProductFactory, someone

SUITES = (("smoke", "test"), ("integration", "test"), ("regression", "test"))


@dataclass
class World:
    """A product, who writes, who manages, and its pipeline."""

    product: Product = field(default_factory=ProductFactory)

    def __post_init__(self) -> None:
        self.author = self.someone("contributor")
        self.manager = self.someone("release_manager")
        self.ci = self.someone("service")

    def someone(self, *roles: str, **fields: Any) -> User:
        return someone(*roles, team=self.product.team, **fields)

    def build(self, n: int = 1, *, component: str = "app") -> Build:
        """The n-th build of a component."""
        return register_build(
            product=self.product,
            component=self.product.components.get(key=component),
            commit_sha=f"{n:040x}",
            digest=f"sha256:{n:064x}",
            artifact_uri=f"oci://example.org/{component}:{n}",
            built_at=NOW,
            actor=self.ci,
            now=NOW,
        )[0]

    def planned(self, version: str = "1.0", **fields: Any) -> Release:
        facts = {"components": [self.product.components.get(key="app")], **fields}
        return create_release(product=self.product, version=version, actor=self.author, now=NOW, **facts)[0]

    def built(self, version: str = "1.0", *, n: int = 1) -> Release:
        release = set_builds(self.planned(version), builds=[self.build(n)], actor=self.ci, now=NOW)
        return fire(release, "build", actor=self.ci, now=NOW)

    def tested(self, version: str = "1.0") -> Release:
        release = self.built(version)
        for suite, environment in SUITES:
            self.run(release, suite, environment)
        return fire(release, "pass_integration", actor=self.ci, now=NOW)

    def accepted(self, version: str = "1.0") -> Release:
        """Accepted without a sign-off: the test has taken that gate away."""
        release = self.tested(version)
        self.run(release, "acceptance", "staging")
        self.document(release)
        return fire(release, "accept", actor=self.manager, now=NOW)

    def run(self, release: Release, suite: str, environment: str, *, at: datetime = NOW, **counts: int) -> None:
        facts: dict[str, Any] = {"passed": 5, "failed": 0, "errors": 0, "skipped": 0} | counts
        record_test_run(
            builds=list(release.builds.all()),
            environment=Environment.objects.get(key=environment),
            suite=suite,
            **facts,
            started_at=at - timedelta(minutes=1),
            finished_at=at,
            actor=self.ci,
            now=at,
        )

    def document(self, release: Release) -> None:
        for kind in Document.Kind.values:
            write_document(release, kind=kind, body="Written.", actor=self.author, now=NOW)

    def defect(self, **fields: Any) -> KnownDefect:
        facts = {"title": "It crashes", "severity": "critical", **fields}
        return create_defect(product=self.product, actor=self.author, now=NOW, **facts)
