"""`import_history`: a product's past is recorded once, as it was; what makes no sense waits in quarantine."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from deployments.commands.quarantine import dismiss_row, repair_row
from deployments.models import Incident, IncidentRevision, QuarantinedRow
from releasemgmt.accounts.commands import system
from releasemgmt.catalog.commands import create_component
from releasemgmt.catalog.models import Product
from releasemgmt.integrations.history.lines import lines
from releasemgmt.integrations.history.rows import HEADER, INCIDENT_KINDS
from releasemgmt.releases.models import Commit, DefectLink, KnownDefect, Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Invalid, NotPermitted, WrongState
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone
from tests.integrations.test_history import incident, row, sha, written

pytestmark = pytest.mark.django_db

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = SHARED / "jenkins.incidents.ndjson.gz", SHARED / "jenkins.incident_revisions.ndjson.gz"
shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data set is not here")


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="shop")
    return product


def run(*files: Path, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("import_history", *map(str, files), product="shop", stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def commits(folder: Path, *rows: str) -> Path:
    return written(folder, "shop.commits.csv", [HEADER, *rows])


def tag(version: str, n: int, *, day: int, **fields: Any) -> dict[str, Any]:
    facts = {"tag": version, "kind": "production", "released_at": f"2024-03-{day:02}T10:00:00Z", "sha": sha(n)}
    return {**facts, **fields}


def tags(folder: Path, *rows: dict[str, Any]) -> Path:
    return written(folder, "shop.releases.ndjson", list(rows))


def owned() -> dict[str, set[int]]:
    found: dict[str, set[int]] = {version: set() for version in Release.objects.values_list("version", flat=True)}
    for version, each in Commit.objects.exclude(first_release=None).values_list("first_release__version", "sha"):
        found[version].add(int(each, 16))
    return found


def quarantined() -> QuarantinedRow:
    return QuarantinedRow.objects.get()


class TestReleases:
    def test_releases_in_time_order_on_parallel_lines_own_each_commit_once(
        self, product: Product, tmp_path: Path
    ) -> None:
        """3.19.54, then 3.20.0 from the main line, then 3.19.55 from the older one."""
        files = (
            commits(tmp_path, row(0), row(1, 0), row(2, 1), row(3, 1), row(4, 3), row(5, 2)),
            tags(tmp_path, tag("3.19.54", 1, day=1), tag("3.20.0", 4, day=2), tag("3.19.55", 5, day=3)),
        )
        run(*files)
        assert owned() == {"3.19.54": {0, 1}, "3.20.0": {3, 4}, "3.19.55": {2, 5}}
        assert set(Commit.objects.filter(in_baseline=True).values_list("first_release__version", flat=True)) == {
            "3.19.54"
        }

    def test_two_tags_of_a_commit_are_one_release(self, product: Product, tmp_path: Path) -> None:
        given = tags(tmp_path, tag("1.0.2", 1, day=1, alias_of="v1.0.2"), tag("v1.0.2", 1, day=1))
        out, _err = run(given)
        assert "1 past releases, 1 of them new." in out
        assert "Left out, second names of the same commit: 1 (1.0.2)." in out
        assert owned() == {"1.0.2": set()}

    def test_a_version_that_two_commits_have_is_quarantined(self, product: Product, tmp_path: Path) -> None:
        given = [tag("1.0", 0x1 << 156, day=1), tag("v1.0", 0x2 << 156, day=3)]
        for _run in range(2):
            out, _err = run(tags(tmp_path, *given))
        assert (list(owned()), "Left out" in out) == (["1.0"], False)
        assert quarantined().reason == "1.0 is commit 1000000000 already, and not 2000000000 too."
        with pytest.raises(Invalid, match="1.0 is commit 1000000000 already"):
            repair_row(quarantined(), text=json.dumps(given[1]), actor=system(), now=datetime.now(UTC))

    def test_a_fix_in_another_name_of_a_release_is_one_of_that_release(self, product: Product, tmp_path: Path) -> None:
        given = tags(tmp_path, tag("stable-2", 2, day=5), tag("2.0", 2, day=6, alias_of="stable-2"))
        entry = {"release": "v2.0", "date": "2024-03-01", "kind": "defect_fixed", "text": "Crash", "issues": []}
        run(commits(tmp_path, row(2)), given, written(tmp_path, "shop.changelog.ndjson", [entry]))
        assert DefectLink.objects.get().release.version == "stable-2"

    def test_what_is_no_release_is_left_out_and_said(self, product: Product, tmp_path: Path) -> None:
        kinds = {"prerelease": "2.0-rc1", "demo": "demo-1", "other": "nightly"}
        given = [tag(name, n, day=n, kind=kind) for n, (kind, name) in enumerate(kinds.items(), start=1)]
        out, _err = run(commits(tmp_path, row(1)), tags(tmp_path, *given, tag("release 7", 1, day=9)))
        assert "Left out, pre-releases: 1 (2.0-rc1).\nLeft out, demo tags: 1 (demo-1).\nLeft out, other tags: 1" in out
        assert owned() == {"release 7": {1}}

    def test_a_release_of_the_future_is_quarantined(self, product: Product, tmp_path: Path) -> None:
        run(tags(tmp_path, tag("1.0", 1, day=1), tag("9.0", 2, day=1, released_at="2199-01-01T00:00:00Z")))
        assert list(owned()) == ["1.0"]
        assert (quarantined().line, quarantined().reason) == (2, "9.0 lies in the future.")

    def test_fixed_defects_are_closed_with_their_release_and_when_they_were_opened_is_unknown(
        self, product: Product, tmp_path: Path
    ) -> None:
        entry = {"release": "v1.0", "date": "2024-03-01", "kind": "defect_fixed", "text": "Crash", "issues": ["#7"]}
        entries = [
            entry,
            {**entry, "text": "x" * 300, "issues": []},
            {**entry, "kind": "improvement"},
            {**entry, "release": "2.0-dev", "date": "Unreleased"},
            {**entry, "release": "1.5"},
        ]
        given = [tags(tmp_path, tag("v1.0", 1, day=1)), written(tmp_path, "shop.changelog.ndjson", entries)]
        for _run in range(2):
            out, _err = run(*given)
        assert "2 fixed defects, 0 of them new." in out
        assert "fixed in what is not released yet: 1 (2.0-dev)" in out
        short, long = KnownDefect.objects.order_by("title")
        assert (short.title, short.external_reference, short.opened_at) == ("Crash", "#7", None)
        assert (short.state, short.imported, len(long.title), len(long.symptom)) == ("closed", True, 200, 300)
        links = DefectLink.objects.values_list("relation", "release__version")
        assert list(links) == [("fixed_in", "1.0")] * 2
        assert quarantined().reason == f"{product} has no release 1.5."


class TestIncidents:
    def test_revisions_are_replayed_so_that_it_can_be_told_what_was_known(
        self, product: Product, tmp_path: Path
    ) -> None:
        end = {"resolved": True, "resolved_at": "2024-03-01T12:00:00Z"}
        told = [
            incident("a", severity="notice", affected=["App"]),
            incident("a", severity="down", recorded_at="2024-03-02T10:00:00Z", affected=["App", "web shop"]),
            incident("a", severity="disrupted", recorded_at="2024-03-03T10:00:00Z", planned=True, **end),
            incident("b"),
            {"id": "b", "recorded_at": "2024-03-04T10:00:00Z", "deleted": True},
            {"id": "unheard of", "recorded_at": "2024-03-04T10:00:00Z", "deleted": True},
        ]
        files = written(tmp_path, "shop.incident_revisions.ndjson", told)
        out, err = run(files)
        assert (out, err) == ("6 revisions of incidents, 5 of them new.\n", "")
        known = {day: standing(datetime(2024, 3, day, 11, tzinfo=UTC)) for day in (1, 2, 3, 4)}
        assert known == {
            1: {"a": ("notice", True, False), "b": ("down", True, False)},
            2: {"a": ("down", True, False), "b": ("down", True, False)},
            3: {"a": ("degraded", False, True), "b": ("down", True, False)},
            4: {"a": ("degraded", False, True)},
        }
        assert set(product.components.values_list("key", "name")) == {
            ("app", "App"),
            ("web-shop", "web shop"),
            ("web", "web"),
        }
        assert list(queries.breaks()) == []
        before = Event.objects.count()
        assert run(files)[0] == "6 revisions of incidents, 0 of them new.\n"
        assert Event.objects.count() == before

    def test_components_are_told_apart_by_their_whole_names(self, product: Product, tmp_path: Path) -> None:
        create_component(product, key="api", name="Public API", actor=system())
        names = ["C++", "C#", "C", "Поиск", "公式", "x" * 61, "x" * 62, "API", "public_api", "Web (EU)", "web eu"]
        for n, affected in enumerate(([names[0]], names, [*reversed(names), "", "-"])):
            told = {**incident(str(n), affected=affected), "last_recorded_at": "2024-03-01T10:00:00Z"}
            run(written(tmp_path, "shop.incidents.ndjson", [told]))
        found = dict(product.components.exclude(name="App").values_list("name", "key"))
        assert set(found) == {*names[:7], "Public API", "Web (EU)"}
        assert [found[name] for name in ("C++", "Public API", "Web (EU)", "x" * 61)] == ["c", "api", "web-eu", "x" * 60]
        assert found["C"].startswith("c-")
        assert Incident.objects.get(external_id="2").components.count() == len(found)

    def test_a_component_is_named_by_its_key_as_well(self, product: Product, tmp_path: Path) -> None:
        keys = {"update-center": "Update Center!", "r-d": "R&D", "ci": "CI"}
        for key, name in keys.items():
            create_component(product, key=key, name=name, actor=system())
        told = {**incident("a", affected=list(keys)), "last_recorded_at": "2024-03-01T10:00:00Z"}
        run(written(tmp_path, "shop.incidents.ndjson", [told]))
        assert set(Incident.objects.get().components.values_list("key", flat=True)) == set(keys)

    def test_an_impossible_one_waits_as_a_whole(self, product: Product, tmp_path: Path) -> None:
        end = {"resolved": True, "resolved_at": "2024-02-01T10:00:00Z"}
        told = written(tmp_path, "shop.incident_revisions.ndjson", [incident("a"), incident("a", **end)])
        out, err = run(told)
        assert "1 rows can't be used, 1 of them new; 1 revisions wait behind them." in out
        assert "incident_revisions, line 2: It ends, 2024-02-01 10:00, before it starts, 2024-03-01 10:00." in err
        assert not Incident.objects.exists()
        text = json.dumps(incident("a", resolved=True, resolved_at="2024-03-01T11:00:00Z"))
        repair_row(quarantined(), text=text, actor=system(), now=datetime.now(UTC))
        assert Incident.objects.get().restored_at == datetime(2024, 3, 1, 11, tzinfo=UTC)
        assert "rows can't be used" not in run(told)[0]

    def test_what_was_recorded_in_the_future_is_quarantined(self, product: Product, tmp_path: Path) -> None:
        told = [incident("a"), incident("b", recorded_at="2199-01-01T00:00:00Z")]
        run(written(tmp_path, "shop.incident_revisions.ndjson", told))
        assert list(Incident.objects.values_list("external_id", flat=True)) == ["a"]
        assert (quarantined().line, quarantined().reason) == (2, "It was recorded in the future, 2199-01-01 00:00.")


def standing(at: datetime) -> dict[str, tuple[str, bool, bool]]:
    rows = IncidentRevision.objects.known(as_of=at).standing().select_related("incident")
    return {each.incident.external_id: (each.kind, each.restored_at is None, each.planned) for each in rows}


class TestQuarantine:
    def test_a_second_run_changes_nothing(self, product: Product, tmp_path: Path) -> None:
        files = commits(tmp_path, row(0), row(1, 0), row(2, n=1), row(3, 99)), tags(tmp_path, tag("1.0", 1, day=1))
        out, err = run(*files)
        assert "2 rows can't be used, 2 of them new. See --list" in out
        assert err.splitlines()[0] == f"commits, line 4: Commit {sha(1)[:10]} stands in line 3 already."
        before = Event.objects.count(), product.releases.count(), QuarantinedRow.objects.count()
        out, _err = run(*files)
        assert "2 commits, 0 of them new." in out
        assert "1 past releases, 0 of them new." in out
        assert "2 rows can't be used, 0 of them new." in out
        assert before == (Event.objects.count(), product.releases.count(), QuarantinedRow.objects.count())
        assert list(queries.breaks()) == []

    def test_a_row_is_known_again_though_its_line_moved(self, product: Product, tmp_path: Path) -> None:
        run(commits(tmp_path, row(0), row(1, 99)))
        out, _err = run(commits(tmp_path, row(0), row(5), row(1, 99), row(1, 99)))
        assert "2 rows can't be used, 1 of them new." in out

    def test_a_repaired_row_goes_the_way_of_the_others(self, product: Product, tmp_path: Path) -> None:
        rows = [row(0), row(1, 0, at="2023-07-94T10:00:00Z"), row(2, 1)]
        files = commits(tmp_path, *rows), tags(tmp_path, tag("1.0", 2, day=2))
        run(*files)
        assert owned() == {"1.0": {2}}
        administrator = someone("administrator")
        now = datetime(2026, 3, 2, tzinfo=UTC)
        done = repair_row(quarantined(), text=row(1, 0), actor=administrator, now=now)
        assert owned() == {"1.0": {0, 1, 2}}
        assert (done.outcome, done.repaired_row, done.row) == ("repaired", row(1, 0), rows[1])
        assert (done.settled_by, done.settled_at) == (administrator, now)
        assert queries.timeline(product)[0].kind == "deployments.quarantine.repair"
        assert "rows can't be used" not in run(*files)[0]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("nonsense", "It has 1 columns, not 8."),
            (row(1, 77), "What its parent 77 is can't be told any more: write the commit's hash."),
            (row(0), "What it says is there already: dismiss it instead."),
            (row(1, sha(2)), "A parent descends from it: the rows go in a circle."),
        ],
    )
    def test_a_repair_that_does_not_help_changes_nothing(
        self, product: Product, tmp_path: Path, text: str, reason: str
    ) -> None:
        run(commits(tmp_path, row(0), row(1, 99), row(2, 1)))
        before = picture(product)
        with pytest.raises(Invalid) as refused:
            repair_row(quarantined(), text=text, actor=system(), now=datetime.now(UTC))
        assert refused.value.errors == {"row": reason}
        assert picture(product) == before

    def test_a_dismissed_row_stays_out_for_good(self, product: Product, tmp_path: Path) -> None:
        files = commits(tmp_path, row(0), row(1, n=0))
        run(files)
        with pytest.raises(Invalid):
            dismiss_row(quarantined(), reason=" ", actor=system(), now=datetime.now(UTC))
        done = dismiss_row(quarantined(), reason="Exported twice.", actor=system(), now=datetime.now(UTC))
        assert (done.outcome, done.settled_because) == ("dismissed", "Exported twice.")
        assert "rows can't be used" not in run(files, strict=True)[0]
        before = picture(product)
        with pytest.raises(WrongState):
            repair_row(done, text=row(1), actor=system(), now=datetime.now(UTC))
        assert picture(product) == before

    @pytest.mark.parametrize("role", ["contributor", "release_manager", "deployer", "service", "auditor"])
    def test_only_administrators_settle_rows(self, product: Product, tmp_path: Path, role: str) -> None:
        run(commits(tmp_path, row(0), row(1, 99)))
        actor, before = someone(role, team=product.team), picture(product)
        with pytest.raises(NotPermitted):
            repair_row(quarantined(), text=row(1), actor=actor, now=datetime.now(UTC))
        with pytest.raises(NotPermitted):
            dismiss_row(quarantined(), reason="No.", actor=actor, now=datetime.now(UTC))
        with pytest.raises(CommandError, match="You may not"):
            run(commits(tmp_path, row(5)), username=actor.username)
        assert picture(product) == before

    def test_strict_writes_all_or_nothing(self, product: Product, tmp_path: Path) -> None:
        before = picture(product)
        late = written(tmp_path, "shop.changelog.ndjson", [{"release": "9", "kind": "defect_fixed", "text": "x"}])
        for rows, others in (((row(0), row(1, 99)), ()), ((row(0),), (late,))):
            with pytest.raises(CommandError, match="Nothing was written"):
                run(commits(tmp_path, *rows), *others, strict=True)
            assert picture(product) == before
        assert "1 commits, 1 of them new." in run(commits(tmp_path, row(0)), strict=True)[0]

    def test_listed_rows_are_repaired_by_a_file(self, product: Product, tmp_path: Path) -> None:
        run(commits(tmp_path, row(0), row(1, 99), row(2, n=0), row(3, 98)))
        listed = [json.loads(line) for line in run(list=True)[0].splitlines()]
        assert [(each["source"], each["line"]) for each in listed] == [("commits", 3), ("commits", 4), ("commits", 5)]
        listed[0]["row"] = row(1, sha(0))
        listed[1]["dismiss"] = "Twice."
        repairs = written(tmp_path, "repairs.ndjson", [*listed, {"id": 0}, "7"])
        out, err = run(repair=repairs)
        assert out == "2 rows settled; 1 wait.\n"
        assert err.splitlines() == [
            "repairs.ndjson, line 3: What its parent 98 is can't be told any more: write the commit's hash.",
            "repairs.ndjson, line 4: no row of this product, as --list prints it.",
            "repairs.ndjson, line 5: no row of this product, as --list prints it.",
        ]
        assert Commit.objects.count() == 2

    def test_it_says_what_it_needs(self, product: Product, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="Name files to import"):
            run()
        with pytest.raises(CommandError, match="can't be read"):
            run(tmp_path / "shop.commits.csv")
        (tmp_path / "photo").write_bytes(b"\xff\xd8")
        for path in (tmp_path / "missing", tmp_path, tmp_path / "photo"):
            with pytest.raises(CommandError, match=r"can't be read"):
                run(repair=path)


def picture(product: Product) -> tuple[Any, ...]:
    product.refresh_from_db()
    rows = QuarantinedRow.objects.order_by("pk").values_list("outcome", "settled_by", "repaired_row")
    return Commit.objects.count(), list(rows), product.revision, product.event_seq


@shared
def test_the_real_history_is_divided_among_its_releases_as_git_divides_it(product: Product) -> None:
    out, err = run(*sorted(SHARED.glob("healthchecks.*")))
    assert "3,918 commits, 3,918 of them new.\n76 past releases, 76 of them new.\n190 fixed defects" in out
    assert err == ""
    told = [json.loads(line.text) for line in lines(SHARED / "healthchecks.releases.ndjson.gz")]
    shas = [line.text.split(",")[1] for line in lines(SHARED / "healthchecks.commits.csv.gz")][1:]
    expected = {each["tag"].lstrip("v"): {shas[i] for i in each["commits"]} for each in told if "commits" in each}
    found: dict[str, set[str]] = defaultdict(set)
    for version, each in Commit.objects.exclude(first_release=None).values_list("first_release__version", "sha"):
        found[version].add(each)
    assert found == expected


@shared
def test_the_real_incidents_are_told_apart(product: Product, tmp_path: Path) -> None:
    """Those with something wrong, and every sixth of the others."""
    ends = {each["id"]: each for each in (json.loads(line.text) for line in lines(REAL[0]))}
    wrong = {each["id"] for each in ends.values() if (each["resolved_at"] or "9") < each["started_at"]}
    revised = [json.loads(line.text) for line in lines(REAL[1])]
    wrong |= {each["id"] for each in revised if not each.get("deleted") and not each.get("started_at")}
    chosen = wrong | set(sorted(ends)[::6])
    run(*(some_of(path, chosen, tmp_path) for path in REAL))
    impossible = QuarantinedRow.objects.filter(source="incidents", reason__contains="before it starts")
    assert sorted(impossible.values_list("line", flat=True)) == [30, 38, 77, 106, 124, 174, 202, 286]
    unreadable = QuarantinedRow.objects.filter(source="incident_revisions").values_list("line", flat=True)
    assert {14, 15, 16, 34, 338, 339, 354} <= set(unreadable) <= {14, 15, 16, 34, 187, 338, 339, 354}
    found = Incident.objects.standing()
    assert {each.external_id for each in found} == {each for each in chosen if each in ends} - {
        json.loads(row.row)["id"] for row in impossible
    }
    for each in found:
        end = ends[each.external_id]
        assert (each.kind, each.planned) == (INCIDENT_KINDS[end["severity"]], end["planned"])
        assert each.restored_at == (datetime.fromisoformat(end["resolved_at"]) if end["resolved"] else None)


def some_of(path: Path, ids: set[str], folder: Path) -> Path:
    """The file with the other incidents' lines left empty, so that the lines keep their numbers."""
    kept = [line.text if json.loads(line.text)["id"] in ids else "" for line in lines(path)]
    return written(folder, path.name.removesuffix(".gz"), kept)
