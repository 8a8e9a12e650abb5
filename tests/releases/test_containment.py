"""What is kept of a commit that users have: its release, its lead time, and what was known of it before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from releasemgmt.accounts.commands import system
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.commits import claim_commits, send_commits
from releasemgmt.releases.commands.importing import import_past
from releasemgmt.releases.models import Commit, FormerOwner
from tests.factories import ProductFactory
from tests.releases.history import DAY, FORK, LINE, START, commit, owners, past, release_of, sha, ship

pytestmark = pytest.mark.django_db

HOUR = 3_600


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory()
    return product


def send(product: Product, commits: list[dict[str, Any]], *, now: datetime) -> None:
    send_commits(product, commits=commits, actor=system(), now=now)


def leads(product: Product) -> dict[int, int | None]:
    return {int(each, 16): lead for each, lead in product.commits.values_list("sha", "lead_seconds")}


def timed(product: Product) -> set[int]:
    return {int(each, 16) for each in Commit.objects.filter(product=product).timed().values_list("sha", flat=True)}


def test_a_lead_time_goes_from_the_commit_to_its_first_release(product: Product, now: datetime) -> None:
    send(product, LINE, now=now)
    import_past(product, releases=[past("1.0", 2, day=1), past("1.1", 3, day=2)], actor=system(), now=now)
    assert leads(product) == {1: 23 * HOUR, 2: 22 * HOUR, 3: 45 * HOUR, 4: None}
    assert Commit.objects.get(sha=sha(3)).released_at == START + 2 * DAY


def test_a_lead_time_is_in_whole_seconds_rounded_down_below_zero_where_a_clock_was_wrong(
    product: Product, now: datetime
) -> None:
    send(product, LINE[:2], now=now)
    early = START + timedelta(hours=1, microseconds=900_000)
    ship(release_of(product, "1.0", 2, now=now), at=early)
    assert leads(product) == {1: 0, 2: -HOUR}


def test_merges_bots_and_the_first_release_have_lead_times_that_do_not_count(product: Product, now: datetime) -> None:
    send(product, [*FORK, commit(7, 5, is_bot=True), commit(8, 7)], now=now)
    import_past(product, releases=[past("1.0", 1, day=1), past("2.0", 8, day=2)], actor=system(), now=now)
    assert timed(product) == {2, 3, 4, 8}
    assert {n for n, lead in leads(product).items() if lead is None} == {6}


def test_a_second_cycle_of_a_release_counts_from_when_it_arrived(product: Product, now: datetime) -> None:
    send(product, LINE, now=now)
    release = release_of(product, "1.0", 2, now=now)
    ship(release, at=START + DAY)
    release.builds.update(commit_sha=sha(4))
    claim_commits(release, at=START + 2 * DAY, now=now)
    assert leads(product) == {1: 23 * HOUR, 2: 22 * HOUR, 3: 45 * HOUR, 4: 44 * HOUR}
    assert not FormerOwner.objects.exists()


def test_what_comes_late_to_a_second_cycle_arrived_with_that(product: Product, now: datetime) -> None:
    send(product, LINE[:2], now=now)
    release = release_of(product, "1.0", 2, now=now)
    ship(release, at=START + DAY)
    release.builds.update(commit_sha=sha(4))
    claim_commits(release, at=START + 2 * DAY, now=now)
    send(product, LINE, now=now)
    assert leads(product)[3] == 45 * HOUR


def test_what_was_known_before_a_release_came_to_light_is_kept(product: Product, now: datetime) -> None:
    send(product, LINE, now=now)
    import_past(product, releases=[past("1.0", 1, day=1), past("3.0", 4, day=5)], actor=system(), now=now)
    later = now + DAY
    import_past(product, releases=[past("2.0", 2, day=3)], actor=system(), now=later)
    assert owners(product) == {1: "1.0", 2: "2.0", 3: "3.0", 4: "3.0"}
    former = FormerOwner.objects.get()
    assert (former.commit.sha, former.release.version, former.in_baseline) == (sha(2), "3.0", False)
    assert (former.lead_seconds, former.owned_since, former.owned_until) == (118 * HOUR, now, later)
    assert set(Commit.objects.filter(owned_since=now).values_list("sha", flat=True)) == {sha(1), sha(3), sha(4)}


def test_an_earlier_first_release_makes_the_rest_of_the_former_one_count(product: Product, now: datetime) -> None:
    send(product, LINE, now=now)
    import_past(product, releases=[past("2.0", 3, day=5)], actor=system(), now=now)
    assert timed(product) == set()
    import_past(product, releases=[past("1.0", 2, day=3)], actor=system(), now=now + DAY)
    assert timed(product) == {3}
    known = FormerOwner.objects.values_list("commit__sha", "release__version", "in_baseline")
    assert sorted(known) == [(sha(n), "2.0", True) for n in (1, 2, 3)]


def test_a_release_that_comes_late_touches_nothing_of_those_before_it(
    product: Product, now: datetime, django_assert_max_num_queries: Any
) -> None:
    send(product, LINE, now=now)
    given = [past(str(n), n, day=n) for n in (1, 2, 4)]
    import_past(product, releases=given, actor=system(), now=now)
    with django_assert_max_num_queries(26):
        import_past(product, releases=[past("3", 3, day=3)], actor=system(), now=now + DAY)
    assert set(Commit.objects.filter(owned_since=now + DAY).values_list("sha", flat=True)) == {sha(3)}
