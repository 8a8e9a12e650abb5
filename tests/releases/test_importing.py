"""Past releases: closed, in time order, each owning what it was the first to contain, whatever arrives when."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releasemgmt.accounts.commands import system
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.commits import send_commits
from releasemgmt.releases.commands.containment import tips
from releasemgmt.releases.commands.importing import import_past, type_of
from releasemgmt.releases.models import Commit, MissingCommit, Release, ReleaseCommit
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone
from tests.releases.history import FORK, LINE, brought_by, commit, owners, past, release_of, sha, ship

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory()
    return product


@pytest.fixture
def ci(product: Product) -> Any:
    return someone("service", team=product.team)


def test_past_releases_are_closed_and_own_what_they_contained_first(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=FORK, actor=ci, now=now)
    administrator = someone("administrator")
    given = [past("2.0", 5, day=9), past("1.1", 6, day=5)]
    assert import_past(product, releases=given, actor=administrator, now=now).new == ["1.1", "2.0"]
    first, second = Release.objects.order_by("released_at")
    assert (first.state, first.imported, first.event_seq, first.type) == ("closed", True, 0, "minor")
    assert (brought_by(first), brought_by(second)) == ({1, 3, 4, 6}, {2, 5})
    last = queries.timeline(product)[0]
    assert (last.kind, last.actor, last.data["versions"]) == ("releases.release.import", administrator, ["1.1", "2.0"])
    assert list(queries.breaks()) == []


def test_importing_again_adds_only_what_is_new(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    administrator = someone("administrator")
    import_past(product, releases=[past("1.0", 2, day=5)], actor=administrator, now=now)
    before = Event.objects.count()
    again = import_past(product, releases=[past("1.0", 2, day=5)], actor=administrator, now=now)
    assert (again.new, again.present, Event.objects.count()) == ([], ["1.0"], before)
    more = import_past(product, releases=[past("1.0", 2, day=5), past("1.1", 4, day=6)], actor=administrator, now=now)
    assert (more.new, more.present) == (["1.1"], ["1.0"])
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "1.1", 4: "1.1"}


def test_two_versions_of_one_commit_are_one_release(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    given = [past("v1.0.2", 3, day=6), past("1.0.2", 3, day=5)]
    for _run in range(2):
        imported = import_past(product, releases=given, actor=someone("administrator"), now=now)
        assert imported.aliases == [("v1.0.2", "1.0.2")]
    assert list(Release.objects.values_list("version", flat=True)) == ["1.0.2"]


def test_an_earlier_name_of_a_release_that_is_there_is_its_alias(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    later, earlier = past("v1.0.2", 3, day=6), past("1.0.2", 3, day=5)
    import_past(product, releases=[later], actor=someone("administrator"), now=now)
    again = import_past(product, releases=[earlier, later], actor=someone("administrator"), now=now)
    assert (again.new, again.present, again.aliases) == ([], ["v1.0.2"], [("1.0.2", "v1.0.2")])
    assert owners(product)[3] == "v1.0.2"


@pytest.mark.parametrize("sent_at", [0, 1, 2])
def test_a_second_name_is_an_alias_whenever_it_and_the_commits_come(
    product: Product, ci: Any, now: datetime, sent_at: int
) -> None:
    given = [[past("1.0", 2, day=5), past("stable-2", 4, day=6)], [past("2.0", 4, day=7)]]
    for n, releases in enumerate(given):
        if n == sent_at:
            send_commits(product, commits=LINE, actor=ci, now=now)
        imported = import_past(product, releases=releases, actor=someone("administrator"), now=now)
    assert (imported.new, imported.aliases) == ([], [("2.0", "stable-2")])
    assert set(Release.objects.values_list("version", flat=True)) == {"1.0", "stable-2"}


def test_a_commit_within_a_release_is_not_what_it_was_made_of(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    for version, tip, day in (("2.0", 4, 9), ("1.0", 3, 5)):
        imported = import_past(product, releases=[past(version, tip, day=day)], actor=someone("administrator"), now=now)
        assert imported.new == [version]
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "1.0", 4: "2.0"}


def test_a_release_that_is_only_planned_with_the_commit_hides_no_past_one(
    product: Product, ci: Any, now: datetime
) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    release_of(product, "3.0", 4, now=now)
    assert import_past(product, releases=[past("2.0", 4, day=5)], actor=someone("administrator"), now=now).new == [
        "2.0"
    ]
    assert owners(product)[4] == "2.0"


def test_a_planned_release_of_that_version_makes_no_alias_of_a_past_one(
    product: Product, ci: Any, now: datetime
) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    release_of(product, "2.0.1", 4, now=now)
    given = [past("2.0.1", 4, day=6), past("2.0", 4, day=5)]
    imported = import_past(product, releases=given, actor=someone("administrator"), now=now)
    assert (imported.new, imported.present, imported.aliases) == (["2.0"], ["2.0.1"], [])


def test_a_release_of_builds_of_several_commits_is_no_other_name_of_one(
    product: Product, ci: Any, now: datetime
) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    ship(release_of(product, "3.0", 4, 2, now=now), at=now)
    imported = import_past(product, releases=[past("1.0", 2, day=5)], actor=someone("administrator"), now=now)
    assert (imported.new, imported.aliases) == (["1.0"], [])


@pytest.mark.parametrize("together", [True, False])
def test_a_version_of_two_commits_is_a_conflict(product: Product, ci: Any, now: datetime, together: bool) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    given = [past("1.0", 2, day=5), past("1.0", 4, day=6), past("2.0", 4, day=7)]
    for releases in [given] if together else [[each] for each in given]:
        imported = import_past(product, releases=releases, actor=someone("administrator"), now=now)
        assert list(imported.conflicts) == [("1.0", sha(4))] * (given[1] in releases)
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "2.0", 4: "2.0"}


def test_what_two_releases_wait_for_is_the_earlier_ones(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE[2:], actor=ci, now=now)
    for version, tip, day in (("2.0", 4, 9), ("1.0", 3, 5)):
        import_past(product, releases=[past(version, tip, day=day)], actor=someone("administrator"), now=now)
    assert MissingCommit.objects.values_list("release__version", "sha").get() == ("1.0", sha(2))
    send_commits(product, commits=LINE, actor=ci, now=now)
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "1.0", 4: "2.0"}


def test_of_two_releases_of_one_instant_that_wait_the_first_recorded_gets_it(
    product: Product, ci: Any, now: datetime
) -> None:
    given = [past("2.0", 2, day=5), past("1.0", 1, day=5)]
    for each in given:
        import_past(product, releases=[each], actor=someone("administrator"), now=now)
    for row in (LINE[1], LINE[0]):
        send_commits(product, commits=[row], actor=ci, now=now)
    assert owners(product) == {1: "2.0", 2: "2.0"}


def test_the_later_of_two_waiting_releases_gets_only_what_the_earlier_lacks(
    product: Product, ci: Any, now: datetime
) -> None:
    given = [past("2.0", 4, day=9), past("1.0", 2, day=5)]
    import_past(product, releases=given, actor=someone("administrator"), now=now)
    send_commits(product, commits=LINE, actor=ci, now=now)
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "2.0", 4: "2.0"}


def test_the_tag_of_a_release_that_is_known_by_its_build_is_an_alias(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    ship(release_of(product, "2.0", 4, now=now), at=now)
    imported = import_past(product, releases=[past("two", 4, day=5)], actor=someone("administrator"), now=now)
    assert imported.aliases == [("two", "2.0")]


def test_an_import_takes_over_what_came_later(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    deployed = release_of(product, "2.0", 4, now=now)
    ship(deployed, at=now)
    import_past(product, releases=[past("1.0", 2, day=5)], actor=someone("administrator"), now=now)
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "2.0", 4: "2.0"}
    assert brought_by(deployed) == {3, 4}


def test_of_releases_in_one_instant_the_older_commit_comes_first(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    given = [past("1.1", 4, day=5), past("1.0", 2, day=5)]
    import_past(product, releases=given, actor=someone("administrator"), now=now)
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "1.1", 4: "1.1"}


def test_a_past_release_in_the_future_is_refused(product: Product, now: datetime) -> None:
    with pytest.raises(Invalid) as refused:
        import_past(product, releases=[past("9.0", 1, day=999)], actor=someone("administrator"), now=now)
    assert list(refused.value.errors) == ["releases.0.released_at"]
    assert not Release.objects.exists()
    assert not queries.timeline(product).exists()


@pytest.mark.parametrize("role", ["contributor", "release_manager", "service"])
def test_only_administrators_rewrite_the_past(product: Product, role: str, now: datetime) -> None:
    with pytest.raises(NotPermitted):
        import_past(product, releases=[past("1.0", 1, day=5)], actor=someone(role, team=product.team), now=now)
    assert not Release.objects.exists()
    assert not queries.timeline(product).exists()


def test_a_large_import_is_cut_into_transactions_of_a_thousand(product: Product, now: datetime) -> None:
    given = [past(f"1.{n}", n + 1, day=0) for n in range(1_001)]
    imported = import_past(product, releases=given, actor=someone("administrator"), now=now)
    assert len(imported.new) == 1_001
    assert sorted(queries.timeline(product).values_list("data__new", flat=True)) == [1, 1_000]


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("2.0.0", "major"),
        ("2.0", "major"),
        ("12", "major"),
        ("2.1", "minor"),
        ("2.1.3", "patch"),
        ("2026-03", "major"),
        ("x", "minor"),
    ],
)
def test_the_numbers_say_what_type_a_past_release_was(version: str, kind: str) -> None:
    assert type_of(version) == kind


Arrival = dict[str, Any] | tuple[int, int]


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrival]:
    """A commit graph, and for some of its commits the day of a release, in any order at all."""
    size = draw(st.integers(1, 9))
    parents = [
        draw(st.lists(st.integers(1, n - 1), max_size=2, unique=True)) if n > 1 else [] for n in range(1, size + 1)
    ]
    commits = [commit(n, *parents[n - 1], is_bot=draw(st.booleans())) for n in range(1, size + 1)]
    tips = draw(st.lists(st.integers(1, size), min_size=1, max_size=4, unique=True))
    return draw(st.permutations([*commits, *((tip, draw(st.integers(0, 5))) for tip in tips)]))


def reachable(tip: int, commits: list[dict[str, Any]]) -> set[int]:
    parents = {int(each["sha"], 16): [int(parent, 16) for parent in each["parents"]] for each in commits}
    found, todo = set(), [tip]
    while todo:
        n = todo.pop()
        if n not in found:
            found.add(n)
            todo += parents[n]
    return found


def recomputed(commits: list[dict[str, Any]]) -> dict[int, tuple[Any, ...]]:
    """What is stored of each commit, worked out anew from all that has arrived; `version` of a release is its tip."""
    facts: dict[int, tuple[Any, ...]] = {int(each["sha"], 16): (None, None, None, False) for each in commits}
    at = {int(each["sha"], 16): each["committed_at"] for each in commits}
    releases = list(Release.objects.filter(imported=True).order_by("released_at", "pk"))
    for release in reversed(releases):
        for n in reachable(int(release.version), commits):
            lead = (release.released_at - at[n]) // SECOND  # type: ignore[operator]
            facts[n] = (release.version, release.released_at, lead, release == releases[0])
    return facts


@given(arrived=arrivals())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_whatever_order_things_arrive_the_first_release_owns_a_commit(
    product: Product, ci: Any, now: datetime, arrived: list[Arrival]
) -> None:
    commits = [each for each in arrived if isinstance(each, dict)]
    with transaction.atomic():
        # What is in flight has a commit of its own, so that it brings one whatever was released.
        flight = release_of(product, "in flight", 99, now=now)
        send_commits(product, commits=[commit(99, len(commits))], actor=ci, now=now)
        for is_commit, some in groupby(arrived, key=lambda each: isinstance(each, dict)):
            if is_commit:
                send_commits(product, commits=list(some), actor=ci, now=now)  # type: ignore[arg-type]
            else:
                given = [past(f"{tip}", tip, day=day) for tip, day in some]  # type: ignore[arg-type,misc]
                import_past(product, releases=given, actor=system(), now=now)
            assert all(sha == f"{int(version):040x}" for sha, version in tips(product).items())
        assert set(tips(product).values()) == set(owners(product).values()) - {None}
        expected = recomputed(commits)
        facts = ("sha", "first_release__version", "released_at", "lead_seconds", "in_baseline")
        stored = {int(each, 16): tuple(known) for each, *known in Commit.objects.values_list(*facts)}
        assert stored == {**expected, 99: (None, None, None, False)}
        assert brought_by(flight) == {99} | {n for n in reachable(len(commits), commits) if expected[n][0] is None}
        linked = ReleaseCommit.objects.exclude(release=flight).values_list("commit__sha", "release__version")
        assert {int(each, 16): version for each, version in linked} == {
            n: version for n, (version, *_rest) in expected.items() if version
        }
        transaction.set_rollback(True)
