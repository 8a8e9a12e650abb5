"""Commits: taken in once, in any order; each belongs to the first shipped release that contains it."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releasemgmt.accounts.commands import system
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.commits import chunks, claim_commits, refresh_commits, send_commits, work_items
from releasemgmt.releases.commands.importing import import_past, type_of
from releasemgmt.releases.models import Build, Commit, MissingCommit, Release, ReleaseCommit
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import create, fire
from releasemgmt.workflow.errors import Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def sha(n: int) -> str:
    return f"{n:040x}"


def commit(n: int, *parents: int, **facts: Any) -> dict[str, Any]:
    at = START + n * timedelta(hours=1)
    return {"sha": sha(n), "parents": [sha(each) for each in parents], "authored_at": at, "committed_at": at, **facts}


LINE = [commit(1), commit(2, 1), commit(3, 2), commit(4, 3)]
#: 1 ← 2 ← 5 is the main line; 1 ← 3 ← 4 a branch that 5 merges; 6 goes on from the branch alone.
FORK = [commit(1), commit(2, 1), commit(3, 1), commit(4, 3), commit(5, 2, 4), commit(6, 4)]


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory()
    return product


@pytest.fixture
def ci(product: Product) -> Any:
    return someone("service", team=product.team)


def release_of(product: Product, version: str, *tips: int, now: datetime) -> Release:
    """A release in flight whose builds were made of these commits."""
    author = someone("contributor", team=product.team)
    planned = Release(product=product, version=version, model=product.default_model, created_by=author)
    release = create(planned, actor=author)
    for tip in tips:
        release.builds.add(
            Build.objects.create(
                product=product,
                component=product.components.get(),
                commit_sha=sha(tip),
                digest=f"sha256:{version.encode().hex():0>32}{tip:032x}",
                artifact_uri=f"registry/{version}/{tip}",
                built_at=now,
            )
        )
    refresh_commits(release)
    return release


def ship(release: Release, *, at: datetime) -> None:
    """What a production deployment does to the commits."""
    release.released_at = at
    release.save(update_fields=["released_at"])
    claim_commits(release)


def brought_by(release: Release) -> set[int]:
    return {int(each, 16) for each in release.commits.values_list("sha", flat=True)}


def owners(product: Product) -> dict[int, str | None]:
    rows = Commit.objects.filter(product=product).values_list("sha", "first_release__version")
    return {int(each, 16): version for each, version in rows}


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
    with django_assert_max_num_queries(36):
        send_commits(product, commits=LINE, actor=ci, now=now)


def past(version: str, tip: int, *, day: int) -> Any:
    return {"version": version, "sha": sha(tip), "released_at": START + day * DAY}


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
        assert imported.aliases == ["v1.0.2"]
    assert list(Release.objects.values_list("version", flat=True)) == ["1.0.2"]


def test_an_earlier_name_of_a_release_that_is_there_is_its_alias(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE, actor=ci, now=now)
    later, earlier = past("v1.0.2", 3, day=6), past("1.0.2", 3, day=5)
    import_past(product, releases=[later], actor=someone("administrator"), now=now)
    again = import_past(product, releases=[earlier, later], actor=someone("administrator"), now=now)
    assert (again.new, again.present, again.aliases) == ([], ["v1.0.2"], ["1.0.2"])
    assert owners(product)[3] == "v1.0.2"


def test_what_two_releases_wait_for_is_the_earlier_ones(product: Product, ci: Any, now: datetime) -> None:
    send_commits(product, commits=LINE[2:], actor=ci, now=now)
    for version, tip, day in (("2.0", 4, 9), ("1.0", 3, 5)):
        import_past(product, releases=[past(version, tip, day=day)], actor=someone("administrator"), now=now)
    assert MissingCommit.objects.values_list("release__version", "sha").get() == ("1.0", sha(2))
    send_commits(product, commits=LINE, actor=ci, now=now)
    assert owners(product) == {1: "1.0", 2: "1.0", 3: "1.0", 4: "2.0"}


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
    assert imported.aliases == ["two"]


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


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """A commit graph, and for some of its commits the day of a release; both in the order in which they arrive."""
    size = draw(st.integers(1, 9))
    parents = [
        draw(st.lists(st.integers(1, n - 1), max_size=2, unique=True)) if n > 1 else [] for n in range(1, size + 1)
    ]
    commits = [commit(n, *parents[n - 1]) for n in range(1, size + 1)]
    tips = draw(st.lists(st.integers(1, size), min_size=1, max_size=4, unique=True))
    days = draw(st.lists(st.integers(0, 50), min_size=len(tips), max_size=len(tips), unique=True))
    return draw(st.permutations(commits)), list(zip(tips, days, strict=True))


def reachable(tip: int, commits: list[dict[str, Any]]) -> set[int]:
    parents = {int(each["sha"], 16): [int(parent, 16) for parent in each["parents"]] for each in commits}
    found, todo = set(), [tip]
    while todo:
        n = todo.pop()
        if n not in found:
            found.add(n)
            todo += parents[n]
    return found


@given(history=histories(), pieces=st.integers(1, 4), between=st.integers(0, 4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_whatever_order_things_arrive_the_first_release_owns_a_commit(
    product: Product, ci: Any, now: datetime, history: Any, pieces: int, between: int
) -> None:
    commits, releases = history
    expected: dict[int, str | None] = dict.fromkeys(range(1, len(commits) + 1))
    for tip, day in sorted(releases, key=lambda release: -release[1]):
        expected |= dict.fromkeys(reachable(tip, commits), f"on day {day}")
    administrator = someone("administrator")
    with transaction.atomic():
        # The tip of what is in flight is never a past release: that would be the same release under two names.
        flight = release_of(product, "in flight", 99, now=now)
        send_commits(product, commits=[commit(99, len(commits))], actor=ci, now=now)
        for n in range(pieces + 1):
            send_commits(product, commits=commits[n::pieces] if n < pieces else [], actor=ci, now=now)
            if n == min(between, pieces):
                for tip, day in releases:
                    import_past(product, releases=[past(f"on day {day}", tip, day=day)], actor=administrator, now=now)
        assert owners(product) == {**expected, 99: None}
        assert brought_by(flight) == {99} | {n for n in reachable(len(commits), commits) if expected[n] is None}
        stored = ReleaseCommit.objects.exclude(release=flight).values_list("commit__sha", "release__version")
        assert {int(each, 16): version for each, version in stored} == {
            n: version for n, version in expected.items() if version
        }
        transaction.set_rollback(True)


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data set is not here")
def test_a_real_history_is_divided_among_its_releases_as_git_divides_it(product: Product, now: datetime) -> None:
    with gzip.open(SHARED / "healthchecks.commits.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    with gzip.open(SHARED / "healthchecks.releases.ndjson.gz", "rt") as file:
        tags = [tag for line in file if (tag := json.loads(line))["kind"] == "production"]
    shas = [row["sha"] for row in rows]
    commits = [
        {
            "sha": row["sha"],
            "parents": [shas[int(parent)] for parent in row["parents"].split()],
            "authored_at": datetime.fromisoformat(row["author_date"]),
            "committed_at": datetime.fromisoformat(row["commit_date"]),
        }
        for row in rows
    ]
    productions = [
        {"version": tag["tag"], "released_at": datetime.fromisoformat(tag["released_at"]), "sha": tag["sha"]}
        for tag in tags
    ]
    later = datetime(2027, 1, 1, tzinfo=UTC)
    for chunk in chunks(commits, 2_000):
        send_commits(product, commits=chunk, actor=system(), now=later)
    imported = import_past(product, releases=productions, actor=system(), now=later)  # type: ignore[arg-type]
    # Two tags of one commit and one instant: either names the release.
    assert len(imported.aliases) == 1
    expected = {tag["sha"]: {shas[i] for i in tag["commits"]} for tag in tags if not tag.get("alias_of")}
    tagged = {tag["tag"]: tag["sha"] for tag in tags}
    found: dict[str, set[str]] = defaultdict(set)
    for version, sha in Commit.objects.exclude(first_release=None).values_list("first_release__version", "sha"):
        found[tagged[version]].add(sha)
    assert found == expected
