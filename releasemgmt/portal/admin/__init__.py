"""The admin's pages, one noun a file."""

from releasemgmt.portal.admin import (
    approvals,
    catalog,
    changes,
    defects,
    deployments,
    people,
    plans,
    release_models,
    releases,
    trail,
)

__all__ = [
    "approvals",
    "catalog",
    "changes",
    "defects",
    "deployments",
    "people",
    "plans",
    "release_models",
    "releases",
    "trail",
]
