"""Reads over the catalog."""

from __future__ import annotations

from releasemgmt.catalog.models import ReleaseModel


def get_model(number: str) -> ReleaseModel | None:
    """The release model of that number (`normal@1`), or the newest version of that key."""
    key, at, version = number.partition("@")
    if at and not (version.isascii() and version.isdigit() and len(version) < 9):
        return None
    rows = ReleaseModel.objects.filter(key=key, version=int(version)) if at else ReleaseModel.objects.filter(key=key)
    return rows.order_by("-version").first()
