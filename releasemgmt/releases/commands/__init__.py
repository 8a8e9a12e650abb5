"""What can be done with releases, one noun a file."""

from releasemgmt.catalog.commands import material
from releasemgmt.releases.commands.advance import advance
from releasemgmt.releases.commands.commits import claim_commits, refresh_commits, send_commits
from releasemgmt.releases.commands.defect import create_defect, edit_defect, link_defect
from releasemgmt.releases.commands.record import expose, record_test_run, register_build, write_document
from releasemgmt.releases.commands.release import (
    TRANSITIONS,
    accept,
    add_build,
    close,
    create_release,
    edit_release,
    set_builds,
)

__all__ = [
    "TRANSITIONS",
    "accept",
    "add_build",
    "advance",
    "claim_commits",
    "close",
    "create_defect",
    "create_release",
    "edit_defect",
    "edit_release",
    "expose",
    "link_defect",
    "material",
    "record_test_run",
    "refresh_commits",
    "register_build",
    "send_commits",
    "set_builds",
    "write_document",
]
