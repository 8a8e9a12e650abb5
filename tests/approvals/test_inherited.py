"""Documents of the product that a release inherits are part of what is signed."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.queries import content
from releasemgmt.catalog.commands import create_model, write_product_document
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.commands import write_document
from releasemgmt.workflow.errors import Conflict, NotPermitted
from tests.approvals.world import World, holds, picture, say
from tests.conftest import NOW
from tests.factories import someone
from tests.web.world import picture as row

pytestmark = pytest.mark.django_db


@pytest.fixture
def inheriting(world: World) -> ReleaseModel:
    """A model whose sign-off is a round, on documents that are inherited."""
    documents = [{"kind": kind, "origin": "inherited"} for kind in ("impact", "release_notes")]
    return create_model(key="shared", name="Shared", documents=documents, actor=someone("administrator"))


def write(world: World, body: str, *, kind: str = "impact", **fields: Any) -> None:
    write_product_document(world.product, kind=kind, body=body, actor=world.author, **fields)


def test_the_digest_covers_what_is_inherited_and_one_of_its_own_takes_its_place(
    world: World, inheriting: ReleaseModel
) -> None:
    release = world.release(model=inheriting)
    assert "impact" not in content(release)
    write(world, "None.")
    inherited = content(release)["impact"]
    write_document(release, kind="impact", body="None.", actor=world.author, now=NOW)
    assert content(release)["impact"] == inherited
    write(world, "Some.")
    assert content(release)["impact"] == inherited


def test_editing_it_voids_the_votes_on_every_release_in_flight_that_inherits_it(
    world: World, inheriting: ReleaseModel
) -> None:
    write(world, "None.")
    first, second = world.release("1.0", model=inheriting), world.release("2.0", model=inheriting)
    own, other = world.release("3.0", model=inheriting), world.release("4.0")
    write_document(own, kind="impact", body="Its own.", actor=world.author, now=NOW)
    for release in (first, second, own, other):
        world.signed(release)
    before = [row(world.product), *picture(first, second)]
    with pytest.raises(Conflict) as refused:
        write(world, "Some.")
    votes: Any = refused.value.facts["votes"]
    assert {vote["subject"] for vote in votes} == {first.number, second.number}
    assert [row(world.product), *picture(first, second)] == before
    write(world, "Anything.", kind="release_notes")
    assert all(holds(release) for release in (first, second, own, other))
    write(world, "Some.", void_signoffs=True)
    assert [holds(release) for release in (first, second, own, other)] == [False, False, True, True]
    write(world, "None.")
    assert all(holds(release) for release in (first, second, own, other))


def test_who_wrote_it_does_not_judge_it(world: World, inheriting: ReleaseModel) -> None:
    write_product_document(world.product, kind="release_notes", body="As always.", actor=world.manager)
    write_product_document(world.product, kind="impact", body="None.", actor=world.signer)
    round = world.round(world.release(model=inheriting))
    with pytest.raises(NotPermitted) as refused:
        say(round, world.signer)
    assert f"editor of {world.product}" in str(refused.value)
    late = world.someone("release_manager")
    write_product_document(world.product, kind="impact", body="Some.", actor=late)
    write_product_document(world.product, kind="impact", body="None.", actor=world.author)
    with pytest.raises(NotPermitted):
        say(round, late)
    say(round, world.manager)
