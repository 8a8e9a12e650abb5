"""The work-arounds for django-fsm's traps, each pinned by what would happen without it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import create, fire
from tests.factories import ProductFactory, someone

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(settings: Any) -> Release:
    settings.WORKFLOW_GATES = {}
    product = ProductFactory()
    author = someone("contributor", team=product.team)
    return create(Release(product=product, version="1.0", model=product.default_model, created_by=author), actor=author)


def test_a_state_can_not_be_assigned(release: Release) -> None:
    with pytest.raises(AttributeError):
        release.state = "accepted"


def test_reading_again_sees_the_new_state_and_never_lifts_the_protection(release: Release, now: datetime) -> None:
    field: Any = Release._meta.get_field("state")
    old = Release.objects.get(pk=release.pk)
    fire(release, "build", actor=someone("release_manager", team=release.product.team), now=now)
    seen: list[bool] = []
    get_queryset = Release._base_manager.get

    class Watching:
        def get(self, **lookup: Any) -> Release:
            seen.append(field.protected)
            return get_queryset(**lookup)

    old.refresh_from_db(from_queryset=Watching())  # type: ignore[arg-type]
    assert (old.state, seen) == ("built", [True])
    with pytest.raises(AttributeError):
        old.state = "accepted"


def test_full_validation_leaves_the_state_alone(release: Release) -> None:
    release.full_clean()
    assert release.state == "planned"


def test_a_relation_is_read_again_too(release: Release) -> None:
    other = ProductFactory()
    Release.objects.filter(pk=release.pk).update(product=other)
    release.refresh_from_db()
    assert release.product == other
