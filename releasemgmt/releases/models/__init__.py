"""The nouns of a release, one a file."""

from releasemgmt.releases.models.build import Build
from releasemgmt.releases.models.commit import Commit, FormerOwner, MissingCommit
from releasemgmt.releases.models.defect import DefectLink, KnownDefect
from releasemgmt.releases.models.document import Document
from releasemgmt.releases.models.exposure import Exposure
from releasemgmt.releases.models.release import Release, ReleaseCommit, Risk
from releasemgmt.releases.models.test_run import Suite, TestRun

__all__ = [
    "Build",
    "Commit",
    "DefectLink",
    "Document",
    "Exposure",
    "FormerOwner",
    "KnownDefect",
    "MissingCommit",
    "Release",
    "ReleaseCommit",
    "Risk",
    "Suite",
    "TestRun",
]
