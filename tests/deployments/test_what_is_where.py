"""What runs where, now and then; what a release would change there; what the last deployments say about the next."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.commands import observe
from deployments.queries import comparison, risk_facts, running_in, what_is_where
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.releases.commands import create_defect, link_defect, send_commits
from releasemgmt.releases.models import Build, Release
from tests.deployments.world import Shop, at
from tests.factories import ProductFactory, someone


def ran(shop: Shop, release: Release, minute: int, environment: Environment | None = None, **facts: Any) -> None:
    """Deployed at that minute, reported at once."""
    when = {"started_at": at(minute), "finished_at": at(minute), "now": at(minute)}
    shop.report(release=release, environment=environment or shop.production, **{**when, **facts})


def where(shop: Shop, minute: int | None = None, user: User | None = None) -> list[tuple[str, str, str]]:
    rows = what_is_where(None if minute is None else at(minute), user=user)
    versions = [row.running.version if row.running else None for row in rows]
    return [
        (row.environment.key, row.component.key, version or "-") for row, version in zip(rows, versions, strict=True)
    ]


def test_the_latest_success_of_each_component_is_what_runs(shop: Shop) -> None:
    first, second = shop.release("1.0"), shop.release("2.0")
    ran(shop, first, 0)
    ran(shop, second, 10, builds=list(second.builds.filter(component__key="api")))
    ran(shop, second, 20, status="failed")
    ran(shop, second, 5, shop.test)
    assert where(shop) == [
        ("test", "api", "2.0"),
        ("test", "web", "2.0"),
        ("production", "api", "2.0"),
        ("production", "web", "1.0"),
    ]
    row = running_in(shop.production, shop.product).get(component__key="api")
    assert (row.build.digest, row.succeeded_at) == (shop.build("api", "2.0").digest, at(10))


@pytest.mark.parametrize(("minute", "version"), [(-1, None), (0, "1.0"), (9, "1.0"), (10, "2.0"), (99, "2.0")])
def test_at_a_past_instant_it_is_what_ran_then(shop: Shop, minute: int, version: str | None) -> None:
    ran(shop, shop.release("1.0"), 0)
    ran(shop, shop.release("2.0"), 10)
    assert {there for _environment, _component, there in where(shop, minute)} == ({version} if version else set())


def test_a_late_report_of_the_past_does_not_replace_what_runs(shop: Shop) -> None:
    ran(shop, shop.release("2.0"), 10)
    ran(shop, shop.release("1.0"), 0, now=at(20))
    assert {version for *_place, version in where(shop)} == {"2.0"}


def test_a_plan_in_progress_does_not_run_yet(shop: Shop) -> None:
    shop.worked_off(shop.release("1.0"))
    assert where(shop) == []


def test_people_see_what_their_teams_run(shop: Shop) -> None:
    ran(shop, shop.release("1.0"), 0)
    assert where(shop, user=someone("contributor", team=ProductFactory().team)) == []
    assert len(where(shop, user=shop.author)) == len(where(shop, user=someone("auditor"))) == 2


def test_what_is_where_is_five_statements_whatever_is_there(shop: Shop, django_assert_num_queries: Any) -> None:
    for n in range(4):
        ran(shop, shop.release(f"1.{n}"), n)
        ran(shop, shop.release(f"2.{n}"), n, shop.test)
    with django_assert_num_queries(4):
        assert len(where(shop)) == 4
    ran(shop, shop.release("3.0"), 6, shop.test, unregistered=["sha256:" + "f" * 64])
    for environment in (shop.test, shop.production):
        strange = {"api": "sha256:" + "e" * 64}
        observe(shop.product, environment, digests=strange, observed_at=at(7), actor=shop.ci, now=at(7))
    shop.report(product=shop.product, unregistered=["sha256:" + "f" * 64], finished_at=at(8), now=at(8))
    with django_assert_num_queries(5):
        assert len(where(shop)) == 4


class TestComparison:
    """A history: one ← two ← three ← four; 1.0 is two, 2.0 is three, 3.0 is four."""

    @pytest.fixture
    def history(self, shop: Shop) -> list[Release]:
        shas = [shop.build("api", name).commit_sha for name in ("one", "1.0", "2.0", "3.0")]
        facts = {"authored_at": at(0), "committed_at": at(0), "author": "author@example.org"}
        commits = [
            {
                "sha": sha,
                "parents": shas[n - 1 : n] if n else [],
                "subject": f"{'SHOP-' if n % 2 else 'No '}{n}",
                **facts,
            }
            for n, sha in enumerate(shas)
        ]
        send_commits(shop.product, commits=commits, actor=shop.ci, now=at(0))
        return [shop.release(version) for version in ("1.0", "2.0", "3.0")]

    def subjects(self, shop: Shop, release: Release) -> list[str]:
        return sorted(commit.subject for commit in comparison(release, shop.production).commits)

    def test_where_nothing_runs_all_that_the_release_brings_is_new(self, shop: Shop, history: list[Release]) -> None:
        found = comparison(history[0], shop.production)
        assert self.subjects(shop, history[0]) == ["No 0", "SHOP-1"]
        assert (found.work_items, found.commits_without_work_item) == (["SHOP-1"], 1)
        assert [(each.component.key, each.running, each.changes) for each in found.components] == [
            ("api", None, True),
            ("web", None, True),
        ]

    def test_beside_the_release_before_it_it_brings_its_own(self, shop: Shop, history: list[Release]) -> None:
        ran(shop, history[0], 0)
        assert self.subjects(shop, history[1]) == ["No 2"]

    def test_it_brings_those_of_a_release_that_was_rolled_back_too(self, shop: Shop, history: list[Release]) -> None:
        first, second, third = history
        ran(shop, first, 0)
        ran(shop, second, 10)
        ran(shop, first, 20, kind="rollback")
        assert second.release_commits.exists()
        assert self.subjects(shop, third) == ["No 2", "SHOP-3"]

    def test_beside_itself_it_brings_nothing(self, shop: Shop, history: list[Release]) -> None:
        ran(shop, history[0], 0)
        found = comparison(history[0], shop.production)
        assert (found.commits, {each.changes for each in found.components}) == ([], {False})

    def test_a_component_that_it_does_not_have_stays(self, shop: Shop, history: list[Release]) -> None:
        ran(shop, history[0], 0)
        api_only = shop.release("4.0", builds=[shop.build("api", "4.0")])
        found = comparison(api_only, shop.production)
        assert [(each.component.key, each.changes) for each in found.components] == [("api", True), ("web", False)]

    def test_defects_stand_beside_it(self, shop: Shop, history: list[Release]) -> None:
        defect = create_defect(
            product=shop.product, title="Slow", severity="minor", opened_at=at(0), actor=shop.author, now=at(0)
        )
        link_defect(history[1], defect=defect, relation="fixed_in", actor=shop.manager, now=at(0))
        assert [link.defect for link in comparison(history[1], shop.production).defects] == [defect]

    def test_it_costs_the_same_whatever_the_size(
        self, shop: Shop, history: list[Release], django_assert_max_num_queries: Any
    ) -> None:
        ran(shop, history[0], 0)
        with django_assert_max_num_queries(7):
            comparison(history[2], shop.production)


class TestRiskFacts:
    """The last production deployment of a component failed: that makes the next release a high risk."""

    def test_nothing_is_known_of_a_first_release(self, shop: Shop) -> None:
        assert risk_facts(shop.release("1.0")) == []

    def test_a_failure_of_another_release_counts(self, shop: Shop) -> None:
        first = shop.release("1.0")
        ran(shop, first, 0, status="failed", builds=list(first.builds.filter(component__key="api")))
        assert risk_facts(shop.release("2.0")) == ["The last production deployment of api failed."]

    def test_its_own_attempts_do_not(self, shop: Shop) -> None:
        release = shop.release("1.0")
        ran(shop, release, 0, status="failed")
        assert risk_facts(release) == []

    def test_a_success_since_then_settles_it(self, shop: Shop) -> None:
        ran(shop, shop.release("1.0"), 0, status="failed")
        ran(shop, shop.release("1.1"), 10)
        assert risk_facts(shop.release("2.0")) == []

    def test_a_failure_elsewhere_does_not_count(self, shop: Shop) -> None:
        ran(shop, shop.release("1.0"), 0, shop.test, status="failed")
        assert risk_facts(shop.release("2.0")) == []

    def test_a_failure_by_hand_counts(self, shop: Shop) -> None:
        by_hand: list[Build] = [shop.build("web", "by hand")]
        shop.report(builds=by_hand, status="failed")
        assert risk_facts(shop.release("2.0")) == ["The last production deployment of web failed."]

    def test_it_is_one_statement(self, shop: Shop, django_assert_num_queries: Any) -> None:
        release = shop.release("1.0")
        with django_assert_num_queries(1):
            risk_facts(release)
