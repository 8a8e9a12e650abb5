"""JUnit reports: cases are counted one by one, and what can't be used says why."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from releasemgmt.integrations.junit import MAX_BYTES, MAX_DEPTH, MAX_FAILURES, MAX_NAME, JUnitError, parse

SHARED = Path(__file__).resolve().parents[3] / "shared" / "payloads" / "test-reports" / "junit"
EXPECTED = sorted(SHARED.rglob("*.results.json"))
#: These two have no counts beside them; counted by hand: passed, failed, errors, skipped.
BY_HAND = {"testmo/junit-basic.xml": (8, 1, 0, 0), "testmo/junit-complete.xml": (5, 1, 1, 1)}

here = pytest.mark.skipif(not EXPECTED, reason="the shared reports are not here")


def counts(xml: bytes) -> tuple[int, int, int, int]:
    report = parse(xml)
    return report.passed, report.failed, report.errors, report.skipped


def suite(cases: str) -> bytes:
    return f"<testsuites><testsuite>{cases}</testsuite></testsuites>".encode()


@here
@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: path.name)
def test_real_reports_count_as_an_independent_implementation_counts_them(expected: Path) -> None:
    stats = json.loads(expected.read_text())["stats"]
    # Its "tests" merge cases of one name; its "runs" count a case with two outcomes twice.
    word = "tests" if stats["tests"] == stats["runs"] else "runs"
    xml = expected.with_name(expected.name.replace(".results.json", ".xml")).read_bytes()
    assert counts(xml) == tuple(stats[f"{word}_{kind}"] for kind in ("succ", "fail", "error", "skip"))


@here
@pytest.mark.parametrize("path", BY_HAND)
def test_real_reports_count_as_counted_by_hand(path: str) -> None:
    assert counts((SHARED / path).read_bytes()) == BY_HAND[path]


@here
def test_every_shared_report_is_counted() -> None:
    judged = {path.name.replace(".results.json", ".xml") for path in EXPECTED} | {Path(path).name for path in BY_HAND}
    assert judged == {path.name for path in SHARED.rglob("*.xml")}


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        ("<testcase/>", (1, 0, 0, 0)),
        ("<testcase><failure/></testcase>", (0, 1, 0, 0)),
        ("<testcase><error/></testcase>", (0, 0, 1, 0)),
        ("<testcase><skipped/></testcase>", (0, 0, 0, 1)),
        ("<testcase><failure/><error/></testcase>", (0, 0, 1, 0)),
        ("<testcase><error/><failure/></testcase>", (0, 0, 1, 0)),
        ("<testcase><skipped/><failure/></testcase>", (0, 1, 0, 0)),
        ("<testcase><failure/><failure/></testcase>", (0, 1, 0, 0)),
        ("<testcase><flakyFailure/></testcase>", (1, 0, 0, 0)),
        ("<testcase><system-out>failure</system-out></testcase>", (1, 0, 0, 0)),
        ('<testcase status="notrun"/>', (0, 0, 0, 1)),
        ('<testcase status="passed" result="completed"/>', (1, 0, 0, 0)),
        ("<testcase/><testsuite><testcase/><testsuite><testcase/></testsuite></testsuite>", (3, 0, 0, 0)),
    ],
)
def test_a_case_counts_once_by_its_worst_outcome(cases: str, expected: tuple[int, ...]) -> None:
    assert counts(suite(cases)) == expected


def test_the_sums_in_attributes_are_not_believed() -> None:
    xml = b'<testsuite tests="9" failures="0" errors="0" skipped="0"><testcase><failure/></testcase></testsuite>'
    assert counts(xml) == (0, 1, 0, 0)


def test_namespaces_and_other_encodings_do_not_matter() -> None:
    cases = '<testsuite xmlns="urn:x"><testcase name="Ü"><error/></testcase></testsuite>'
    assert parse(f'<?xml version="1.0" encoding="utf-16"?>{cases}'.encode("utf-16")).failures == ("Ü",)


def test_what_failed_is_named_and_the_list_is_bounded() -> None:
    case = '<testcase classname="shop.cart" name="total"><failure/></testcase>'
    assert parse(suite(case)).failures == ("shop.cart.total",)
    many = parse(suite(f'<testcase name="{"x" * 999}"><error/></testcase>' * (MAX_FAILURES + 1)))
    assert (many.errors, len(many.failures), len(many.failures[0])) == (MAX_FAILURES + 1, MAX_FAILURES, MAX_NAME)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase>&a;</testcase></testsuite>'


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (BOMB, "entities"),
        (FILE, "entities"),
        ("", "not well-formed"),
        ("not xml at all", "not well-formed"),
        ('{"passed": 3}', "not well-formed"),
        ("<testsuite><testcase/>", "not well-formed"),
        ("<testsuite><testcase><failure></testcase></testsuite>", "not well-formed"),
        ("<testsuite><testcase/></testsuite><testsuite/>", "not well-formed"),
        ("<testsuite><testcase name='&unknown;'/></testsuite>", "not well-formed"),
        ("<testsuite><testcase name='\x00'/></testsuite>", "not well-formed"),
        ("<?xml version='1.0' encoding='no-such'?><testsuite><testcase/></testsuite>", "not well-formed"),
        ("<?xml version='1.0' encoding='big5'?><testsuite><testcase/></testsuite>", "not well-formed"),
        ("<html><testcase/></html>", "no JUnit report"),
        ("<testcase/>", "no JUnit report"),
        ('<testsuites tests="12"/>', "no test case"),
        ("<testsuite><properties/></testsuite>", "no test case"),
        ("<testsuite><testcase><testcase/></testcase></testsuite>", "inside of a test case"),
        ("<testsuite>" * (MAX_DEPTH + 1) + "<testcase/>" + "</testsuite>" * (MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_what_cannot_be_used_says_why(xml: str, reason: str) -> None:
    with pytest.raises(JUnitError, match=reason):
        parse(xml.encode())


def test_every_truncation_is_refused() -> None:
    whole = suite('<testcase name="a"><failure>why</failure></testcase><testcase name="b"/>')
    for length in range(len(whole)):
        with pytest.raises(JUnitError):
            parse(whole[:length])


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(JUnitError, match="not well-formed"):
        parse(b'<testsuite><testcase name="\xff\xfe"/></testsuite>')


def test_a_report_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(JUnitError, match="20 MiB"):
        parse(b"<" * (MAX_BYTES + 1))


def test_a_large_report_needs_little_memory() -> None:
    xml = suite('<testcase name="n"><system-out>text</system-out></testcase>' * 50_000)
    tracemalloc.start()
    try:
        assert parse(xml).passed == 50_000
        assert tracemalloc.get_traced_memory()[1] < 5 * 1024**2
    finally:
        tracemalloc.stop()
