"""Files of a product's past: what is read of good ones, and what of bad ones is told with its line and reason."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from releasemgmt.integrations.history import BadValueError, History, HistoryError, parse, read
from releasemgmt.integrations.history.rows import HEADER, instant

DAY, LATER = "2024-03-01T10:00:00Z", "2024-03-02T10:00:00Z"


def sha(n: int) -> str:
    return f"{n:040x}"


def row(i: int, *parents: object, n: int | None = None, at: str = DAY, bot: int = 0) -> str:
    above = " ".join(str(each) for each in parents)
    return f"{i},{sha(i if n is None else n)},{above},ann,{at},{at},{int(len(parents) > 1)},{bot}"


def incident(id: str = "a", **fields: Any) -> dict[str, Any]:
    facts = {"id": id, "title": "Slow", "started_at": DAY, "resolved": False, "resolved_at": None, "severity": "down"}
    return {**facts, "affected": ["web"], "planned": False, "notes": [], "recorded_at": DAY, **fields}


def written(folder: Path, name: str, rows: list[str] | list[dict[str, Any]]) -> Path:
    path = folder / name
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in rows) + "\n")
    return path


def commits(folder: Path, *rows: str) -> History:
    return read([written(folder, "shop.commits.csv", [HEADER, *rows])])


def incidents(folder: Path, ends: list[dict[str, Any]] | None, revisions: list[dict[str, Any]] | None) -> History:
    files = [("shop.incidents.ndjson", ends), ("shop.incident_revisions.ndjson", revisions)]
    return read(written(folder, name, rows) for name, rows in files if rows is not None)


def told(history: History) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for bad in history.bad]


def taken(history: History) -> list[int]:
    return [line.number for line, _row in history.commits]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-03-01T10:00:00Z", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("2024-03-01 10:00:00.25+02:00", datetime(2024, 3, 1, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("2024-03-01T9:05:00Z", datetime(2024, 3, 1, 9, 5, tzinfo=UTC)),
        ("2024-03-01T10:00", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("2024-03-01T10:00:00-00:00", datetime(2024, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_as_people_write_it(text: str, at: datetime) -> None:
    assert instant(text, "at") == at


@pytest.mark.parametrize(
    "text",
    [
        "2023-07-94T13:00:00-00:00",
        "2021-05-03T011:00:00Z",
        "2023-08-1T13:00:00Z",
        "0001-01-01T00:00+14:00",
        "x",
        "",
        7,
        None,
    ],
)
def test_what_is_no_instant_is_named(text: object) -> None:
    with pytest.raises(BadValueError, match="^at: .* is no date and time.$"):
        instant(text, "at")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0001-01-01T00:00:00Z", "before 1970"),
        ("1970-01-01T00:30:00+01:00", "before 1970"),
        ("2200-01-01T00:00:00Z", "after 2199"),
    ],
)
def test_what_lies_out_of_reach_is_told(text: str, why: str) -> None:
    with pytest.raises(BadValueError, match=rf"^at is {why}\.$"):
        instant(text, "at")
    assert instant("1970-01-01T00:00:00Z", "at").timestamp() == 0


def test_parents_get_their_hashes(tmp_path: Path) -> None:
    history = commits(tmp_path, row(0), row(1, 0), row(2, 0, 1, bot=1), row(3, sha(2)))
    assert [each.parents for _line, each in history.commits] == [(), (sha(0),), (sha(0), sha(1)), (sha(2),)]
    assert [each.is_bot for _line, each in history.commits] == [False, False, True, False]
    assert history.bad == []


def test_an_offset_is_kept_as_an_instant(tmp_path: Path) -> None:
    [(_line, found)] = commits(tmp_path, row(0, at="2015-06-11T22:12:09+03:00")).commits
    assert found.committed_at == datetime(2015, 6, 11, 22, 12, 9, tzinfo=timezone(timedelta(hours=3)))


def test_bad_commits_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    rows = [
        row(0),
        row(1, 9),  # comes later
        row(2, 1),  # is fine: its parent says who it is
        row(3, n=0),  # a second row of a commit
        row(4, 3),  # is fine: that row says who it is
        row(5, at="2023-07-94T10:00:00Z"),
        row(6, 99),
        row(7, 8),
        row(8, 7),  # both in a circle, of which one row closes it
        row(9, 0),
        row(9, n=12),
        "10,xyz,,ann,,,0,0",
        row(11, 10),
        "1,2,3",
    ]
    history = commits(tmp_path, *rows)
    assert taken(history) == [2, 4, 6, 10, 11]
    assert sorted(told(history)) == [
        (3, "Its parent 9 comes later in the file."),
        (5, f"Commit {sha(0)[:10]} stands in line 2 already."),
        (7, "author_date: 2023-07-94T10:00:00Z is no date and time."),
        (8, "Its parent 99 is not in the file, or that row names no commit."),
        (9, "Its parent 8 descends from it: the rows go in a circle."),
        (12, "Number 9 stands in line 11 already."),
        (13, "sha: xyz is no full commit hash."),
        (14, "Its parent 10 is not in the file, or that row names no commit."),
        (15, "It has 3 columns, not 8."),
    ]
    later = next(bad for bad in history.bad if bad.line == 3)
    assert (later.text, later.refers_to) == (rows[1], {"9": sha(9)})


def test_columns_may_be_quoted(tmp_path: Path) -> None:
    rows = [row(0), row(1, 0), row(2, 0, at="2023-07-94T10:00:00Z"), row(3, 2)]
    history = commits(tmp_path, *(",".join(f'"{each}"' for each in text.split(",")) for text in rows), row(4, 3) + ',"')
    assert [each.parents for _line, each in history.commits] == [(), (sha(0),), (sha(2),)]
    assert [(bad.line, bad.refers_to) for bad in history.bad] == [(4, {"0": sha(0)}), (6, {"3": sha(3)})]


def test_a_commit_that_is_its_own_parent_goes_in_a_circle(tmp_path: Path) -> None:
    assert told(commits(tmp_path, row(0), row(1, 1), row(2, 1))) == [
        (3, "Its parent 1 descends from it: the rows go in a circle.")
    ]


def test_a_parent_may_come_later_by_its_hash_and_in_no_circle(tmp_path: Path) -> None:
    rows = [
        row(0, sha(1)),
        row(1, 0),
        row(2, sha(3)),
        row(3, sha(0)),
        row(4, sha(4)),
        row(5, sha(0), 0),
        row(6, sha(9)),
    ]
    history = commits(tmp_path, *rows)
    assert [(each.index, each.parents) for _line, each in history.commits] == [
        (1, (sha(0),)),
        (2, (sha(3),)),
        (3, (sha(0),)),
        (5, (sha(0),)),
        (6, (sha(9),)),
    ]
    assert told(history) == [
        (2, "Its parent 1 descends from it: the rows go in a circle."),
        (6, "Its parent 4 descends from it: the rows go in a circle."),
    ]


def test_what_can_be_read_of_a_truncated_file_is_read(tmp_path: Path) -> None:
    plain = "\n".join(
        [HEADER, *(row(n, *([n - 1] if n else []), at=f"2024-03-01T10:00:{n % 60:02}Z") for n in range(400))]
    )
    path = tmp_path / "shop.commits.csv.gz"
    path.write_bytes(gzip.compress(plain.encode())[:-2_000])
    history = read([path])
    assert 0 < len(history.commits) < 400
    assert told(history) == [
        (len(history.commits) + 2, "The file is cut off or damaged here: what follows can't be read.")
    ]


def test_a_plain_file_that_ends_in_the_middle_of_a_row_tells_that_row(tmp_path: Path) -> None:
    path = tmp_path / "shop.releases.ndjson"
    path.write_text(
        '{"tag":"1.0","kind":"production","released_at":"' + DAY + '","sha":"' + sha(1) + '"}\n{"tag":"1.1","ki'
    )
    history = read([path])
    assert [tag.tag for _line, tag in history.tags] == ["1.0"]
    assert [line for line, _reason in told(history)] == [2]


def test_what_no_database_takes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "shop.incident_revisions.ndjson"
    good, lone = json.dumps(incident()), json.dumps(incident(title="\ud800"))
    path.write_bytes(b"\n".join([good.encode(), lone.encode(), b'{"id":"\xff"}', b'{"id":"b\0"}', b"[1]", b"", b"{"]))
    history = read([path])
    assert told(history)[:4] == [
        (2, "title holds a character that no text has."),
        (3, "It holds bytes that are not UTF-8."),
        (4, "It holds the character NUL."),
        (5, "It is no JSON object."),
    ]
    assert "\0" not in "".join(bad.text for bad in history.bad)


@pytest.mark.parametrize("escaped", ["\\u0000", "\\ud83d"])
def test_what_no_database_takes_is_not_quoted_either(escaped: str) -> None:
    with pytest.raises(BadValueError) as refused:
        parse("incident_revisions", json.dumps(incident(severity="down")).replace('"down"', f'"down{escaped}"'))
    assert str(refused.value) == "severity: down\ufffd is none of down, disrupted, notice."


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("shop.csv", "", "the name says what the file holds"),
        ("shop.commits.csv", "", "the first line is not i,sha"),
        ("shop.commits.csv", "sha,i\n", "the first line is not i,sha"),
        ("shop.releases.ndjson", "x" * (5 * 1024**2), "longer than 4 MiB"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(HistoryError, match=says):
        read([path])


def test_a_file_that_is_not_there_and_two_of_a_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="can't be read: No such file"):
        read([tmp_path / "shop.changelog.ndjson"])
    with pytest.raises(HistoryError, match="holds commits already"):
        read([tmp_path / "a.commits.csv", tmp_path / "b.commits.csv"])


def test_a_tag_counts_once(tmp_path: Path) -> None:
    tag = {"tag": "1.0", "kind": "production", "released_at": DAY, "sha": sha(1)}
    history = read([written(tmp_path, "shop.releases.ndjson", [tag, tag, {**tag, "tag": "2", "kind": "nightly"}])])
    assert len(history.tags) == 1
    assert told(history) == [
        (2, "The tag 1.0 stands in line 1 already."),
        (3, "kind: nightly is none of production, prerelease, demo, other."),
    ]


def test_an_incident_is_down_degraded_or_only_announced() -> None:
    kinds = [
        parse("incident_revisions", json.dumps(incident(severity=each))).kind
        for each in ("down", "disrupted", "notice")
    ]
    assert kinds == ["down", "degraded", "notice"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"started_at": None, "notes": ["unparseable:2023-07-94"]},
            "started_at is missing: 2023-07-94 could not be read.",
        ),
        ({"started_at": None, "notes": 5}, "started_at is missing."),
        ({"resolved": True}, "resolved_at is missing."),
        ({"resolved": True, "resolved_at": "2024-02-01T10:00:00Z"}, "It ends, 2024-02-01 10:00, before it starts"),
        ({"severity": "bad"}, "severity: bad is none of down, disrupted, notice."),
        ({"title": " "}, "title is missing."),
        ({"title": 7}, "title is no text."),
        ({"affected": "web"}, "affected is no list."),
        ({"planned": "maybe"}, "planned: maybe is neither yes nor no."),
        ({"unparseable": True}, "It could not be read where it was exported."),
    ],
)
def test_an_impossible_revision_says_why(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadValueError) as refused:
        parse("incident_revisions", json.dumps(incident(**fields)))
    assert str(refused.value).startswith(reason)


def test_an_incident_that_ends_up_impossible_waits_with_all_its_revisions(tmp_path: Path) -> None:
    end = {"resolved": True, "resolved_at": "2024-02-01T10:00:00Z"}
    revisions = [incident("a"), incident("b"), incident("a", **end)]
    ends = [{**incident("a", **end), "last_recorded_at": DAY}, {**incident("b"), "last_recorded_at": DAY}]
    for history in (incidents(tmp_path, ends, revisions), incidents(tmp_path, None, revisions)):
        assert [found.id for _source, _line, found in history.incidents] == ["b"]
        assert (len(history.bad), history.held_back) == (1, 1)


def test_one_bad_revision_leaves_the_others(tmp_path: Path) -> None:
    revisions = [
        incident(started_at=None),
        incident(recorded_at=LATER),
        {"id": "a", "recorded_at": LATER, "deleted": True},
    ]
    history = incidents(tmp_path, None, revisions)
    assert [found.is_deleted for _source, _line, found in history.incidents] == [False, True]
    assert told(history) == [(1, "started_at is missing.")]


def test_a_final_state_counts_where_no_revision_says_more(tmp_path: Path) -> None:
    ends = [{**incident(each), "last_recorded_at": DAY} for each in ("a", "b")]
    history = incidents(tmp_path, ends, [incident("b")])
    assert [(source, found.id) for source, _line, found in history.incidents] == [
        ("incident_revisions", "b"),
        ("incidents", "a"),
    ]


def test_a_final_state_that_is_later_than_what_can_be_read_of_the_revisions_counts(tmp_path: Path) -> None:
    over: dict[str, Any] = {"resolved": True, "resolved_at": DAY, "recorded_at": LATER}
    revisions = [incident(), incident(**{**over, "resolved_at": "2023-07-94T13:00:00Z"})]
    for at, sources in ((LATER, ["incident_revisions", "incidents"]), (DAY, ["incident_revisions"])):
        history = incidents(tmp_path, [{**incident(**over), "last_recorded_at": at}], revisions)
        assert [source for source, _line, _found in history.incidents] == sources
        assert len(history.bad) == 1


def test_of_two_final_states_of_one_time_the_first_stands(tmp_path: Path) -> None:
    said = [{"title": "Down"}, {"title": "Up"}, {"title": "Down"}, {"title": "Up", "last_recorded_at": LATER}]
    ends = [{**incident("a"), "last_recorded_at": DAY, **each} for each in said]
    history = incidents(tmp_path, ends, None)
    assert [(line.number, found.title) for _source, line, found in history.incidents] == [
        (1, "Down"),
        (3, "Down"),
        (4, "Up"),
    ]
    assert told(history) == [(2, "Line 1 says something else of a at the same time.")]
