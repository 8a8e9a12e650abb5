"""Commits: taken in once, in any order; each belongs to the first shipped release that contains it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.commits import refresh_commits, send_commits, work_items
from releasemgmt.releases.models import Commit, MissingCommit
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import NotPermitted
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone
from tests.releases.history import FORK, LINE, brought_by, commit, owners, release_of, sha, ship

pytestmark = pytest.mark.django_db


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory()
    return product


@pytest.fixture
def ci(product: Product) -> Any:
    return someone("service", team=product.team)


def test_new_commits_are_counted_and_make_one_event(product: Product, ci: Any, now: datetime) -> None:
    assert send_commits(product, commits=LINE[:3], actor=ci, now=now) == 3
    assert send_commits(product, commits=LINE, actor=ci, now=now) == 1
    kinds = queries.timeline(product).values_list("kind", "data__new")
    assert list(kinds) == [("releases.commit.send", 1), ("releases.commit.send", 3)]
    assert list(queries.breaks()) == []


def test_nothing_new_writes_nothing(product: Product, ci: Any, now: datetime, django_assert_num_queries: Any) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    before = Event.objects.count()
    # A savepoint, the roles, the lock, the known shas, and the savepoint's end.
    with django_assert_num_queries(5):
        assert send_commits(product, commits=LINE, actor=ci, now=now) == 0
    assert Event.objects.count() == before


def test_the_product_keeps_its_revision(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    assert Product.objects.get().revision == 1


def test_a_commit_sent_again_with_other_facts_stays_as_it_was(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=[commit(1, subject="First")], actor=ci, now=now)
    assert send_commits(product, commits=[commit(1, 7, subject="Forged")], actor=ci, now=now) == 0
    assert Commit.objects.values_list("subject", "parents").get() == ("First", [])


def test_a_commit_sent_twice_in_one_call_counts_once(product: Product, ci: Any, now: datetime) -> None:
    twice = [commit(1, subject="First"), commit(1, subject="Second")]
    assert send_commits(product, commits=twice, actor=ci, now=now) == 1
    assert Commit.objects.get().subject == "First"


def test_two_products_may_share_commits(product: Product, ci: Any, now: datetime) -> None:
    other = ProductFactory(team=product.team)
    assert [send_commits(each, commits=LINE, actor=ci, now=now) for each in (product, other)] == [4, 4]


@pytest.mark.parametrize("role", ["auditor", "cab_member"])
def test_who_only_reads_or_votes_sends_no_commits(product: Product, role: str, now: datetime) -> None:
    with pytest.raises(NotPermitted):
        send_commits(product, commits=LINE, actor=someone(role, team=product.team), now=now)
    assert not Commit.objects.exists()
    assert not queries.timeline(product).exists()


def test_facts_are_derived_where_they_are_not_sent(product: Product, ci: Any, now: datetime) -> None:
    plain = commit(1, subject="SHOP-12: pay by card, closes #7", author="Ann Example <Ann@Example.org>")
    told = commit(2, 1, 9, subject="SHOP-13", work_items=["X-1"], is_bot=True, author="Ann")
    send_commits(product, commits=[plain, told], actor=ci, now=now)
    facts = Commit.objects.order_by("sha").values_list("author", "work_items", "is_merge", "is_bot")
    assert list(facts) == [
        ("ann@example.org", ["SHOP-12", "#7"], False, False),
        ("Ann", ["X-1"], True, True),
    ]


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("SHOP-1 and SHOP-2, SHOP-1 again", ["SHOP-1", "SHOP-2"]),
        ("Merge pull request #12 from x/fix-3", ["#12"]),
        ("Fix (#7)", ["#7"]),
        ("Read UTF-8, hash by SHA-256, see RFC-9457", []),
        ("Show &#39; rightly, colour x#12", []),
        ("shop-1 in lower case, A-1 too short, SHOP-0", []),
    ],
)
def test_work_items_are_found_in_subjects(subject: str, found: list[str]) -> None:
    assert work_items(subject) == found


def test_a_long_subject_is_cut(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=[commit(1, subject="x" * 2_000, author="y" * 2_000)], actor=ci, now=now)
    assert Commit.objects.filter(subject="x" * 500, author="y" * 320).exists()


def test_a_release_has_what_its_builds_reach(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=FORK, actor=ci, now=now)
    assert brought_by(release_of(product, "1", 5, now=now)) == {1, 2, 3, 4, 5}
    assert brought_by(release_of(product, "2", 2, 6, now=now)) == {1, 2, 3, 4, 6}
    assert brought_by(release_of(product, "3", now=now)) == set()


def test_commits_that_come_late_reach_the_release_in_flight(product: Product, ci: Any, now: datetime) -> None:
    release = release_of(product, "1", 5, now=now)
    for late in reversed(FORK):
        send_commits(product, commits=[late], actor=ci, now=now)
    assert brought_by(release) == {1, 2, 3, 4, 5}
    assert queries.timeline(product)[0].data == {"new": 1, "releases": [release.number]}


def test_a_release_loses_what_other_builds_no_longer_reach(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=FORK, actor=ci, now=now)
    release = release_of(product, "1", 5, now=now)
    release.builds.update(commit_sha=sha(6))
    refresh_commits(release)
    assert brought_by(release) == {1, 3, 4, 6}


def test_what_was_shipped_is_not_brought_again(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=FORK, actor=ci, now=now)
    hotfix, main = release_of(product, "1.1", 6, now=now), release_of(product, "2", 5, now=now)
    ship(hotfix, at=now)
    assert brought_by(hotfix) == {1, 3, 4, 6}
    assert brought_by(main) == {2, 5}
    assert owners(product) == {1: "1.1", 3: "1.1", 4: "1.1", 6: "1.1", 2: None, 5: None}


def test_shipping_again_changes_nothing(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=FORK, actor=ci, now=now)
    release = release_of(product, "1", 5, now=now)
    ship(release, at=now)
    before = owners(product), brought_by(release)
    ship(release, at=now)
    assert (owners(product), brought_by(release)) == before


def test_a_release_that_was_rolled_back_keeps_its_commits_in_its_next_cycle(
    product: Product, ci: Any, now: datetime
) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    release = release_of(product, "1", 3, now=now)
    ship(release, at=now)
    release.builds.update(commit_sha=sha(4))
    refresh_commits(release)
    assert brought_by(release) == {1, 2, 3, 4}
    assert owners(product)[4] is None


def test_a_cancelled_release_is_not_refreshed(product: Product, ci: Any, now: datetime, settings: Any) -> None:
    settings.WORKFLOW_GATES = {}
    release = release_of(product, "1", 4, now=now)
    fire(release, "cancel", actor=someone("release_manager", team=product.team), now=now, reason="Not needed.")
    send_commits(product, commits=LINE, actor=ci, now=now)
    assert brought_by(release) == set()


def test_history_that_comes_after_the_release_that_shipped_it_is_that_releases(
    product: Product, ci: Any, now: datetime
) -> None:
    send_commits(product, commits=[FORK[4]], actor=ci, now=now)
    release = release_of(product, "1", 5, now=now)
    ship(release, at=now)
    assert set(MissingCommit.objects.values_list("sha", flat=True)) == {sha(2), sha(4)}
    send_commits(product, commits=[FORK[3], FORK[0]], actor=ci, now=now)
    assert (brought_by(release), owners(product)[1]) == ({4, 5}, None)
    send_commits(product, commits=[FORK[2], FORK[1]], actor=ci, now=now)
    assert brought_by(release) == {1, 2, 3, 4, 5}
    assert not MissingCommit.objects.exists()


def test_a_build_commit_that_nobody_sent_is_claimed_when_it_comes(product: Product, ci: Any, now: datetime) -> None:
    release = release_of(product, "1", 2, now=now)
    ship(release, at=now)
    send_commits(product, commits=LINE, actor=ci, now=now)
    assert owners(product) == {1: "1", 2: "1", 3: None, 4: None}


def test_the_graph_is_loaded_once_for_all_releases_in_flight(
    product: Product, ci: Any, now: datetime, django_assert_max_num_queries: Any
) -> None:
    for n in range(5):
        release_of(product, f"{n}", 2, now=now)
    with django_assert_max_num_queries(16):
        send_commits(product, commits=LINE, actor=ci, now=now)
