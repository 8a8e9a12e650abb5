"""JUnit XML reports: how many test cases passed, failed, broke and were skipped, counted one by one.

The sums in a report's attributes are not read: producers leave them out, or let them drift from the cases.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

MAX_BYTES = 20 * 1024 * 1024
MAX_DEPTH = 50
MAX_FAILURES = 50
MAX_NAME = 300

#: What a case's children say of it, the worst first: a case that failed and then broke in its teardown is an error.
OUTCOMES = ("error", "failure", "skipped")
#: What some runners write, in `status` or `result`, on a case that they list but did not run.
NOT_RUN = {"notrun", "disabled", "suppressed", "skipped"}


class JUnitError(ValueError):
    """The report can't be used; the message says why, for the person who sent it."""


@dataclass(frozen=True)
class Report:
    """The counts of a report's cases, and the names of the first that failed or broke."""

    passed: int
    failed: int
    errors: int
    skipped: int
    failures: tuple[str, ...]


def parse(xml: bytes) -> Report:
    """Count the cases of a report; raises JUnitError where it is too large or deep, broken, hostile, or has none."""
    if len(xml) > MAX_BYTES:
        raise JUnitError(f"The report is larger than {MAX_BYTES // 1024**2} MiB.")
    cases = _Cases()
    parser = DefusedXMLParser(target=cases)
    try:
        parser.feed(xml)
        parser.close()
    except DefusedXmlException as error:
        raise JUnitError("The report declares entities or refers to other files; neither is allowed.") from error
    except (ParseError, LookupError, ValueError) as error:
        if isinstance(error, JUnitError):
            raise
        raise JUnitError(f"The report is not well-formed XML: {error}.") from error
    return cases.report()


class _Cases:
    """Listens to the parser and keeps counts only, so that a large report needs no large memory."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.outcome = ""
        self.name = ""
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = _local(tag)
        if not self.open and tag not in ("testsuites", "testsuite"):
            raise JUnitError(f"This is no JUnit report: it begins with <{tag[:40]}>, not <testsuites> or <testsuite>.")
        if len(self.open) == MAX_DEPTH:
            raise JUnitError(f"The report is nested deeper than {MAX_DEPTH} elements.")
        if tag == "testcase":
            self._begin(attributes)
        elif tag in OUTCOMES and self.open[-1] == "testcase":
            self.outcome = min(self.outcome or tag, tag, key=OUTCOMES.index)
        self.open.append(tag)

    def end(self, _tag: str) -> None:
        if self.open.pop() != "testcase":
            return
        self.counts[self.outcome] += 1
        if self.outcome in ("error", "failure") and len(self.failures) < MAX_FAILURES:
            self.failures.append(self.name)

    def close(self) -> None:
        if not self.counts:
            raise JUnitError("The report has no test case, so nothing was tested.")

    def report(self) -> Report:
        return Report(
            passed=self.counts[""],
            failed=self.counts["failure"],
            errors=self.counts["error"],
            skipped=self.counts["skipped"],
            failures=tuple(self.failures),
        )

    def _begin(self, attributes: dict[str, str]) -> None:
        if "testcase" in self.open:
            raise JUnitError("The report has a test case inside of a test case.")
        says = {attributes.get(key, "").lower() for key in ("status", "result")}
        self.outcome = "skipped" if says & NOT_RUN else ""
        parts = (attributes.get("classname", ""), attributes.get("name", ""))
        self.name = ".".join(filter(None, parts))[:MAX_NAME] or "(a case without a name)"


def _local(tag: str) -> str:
    """The tag without its namespace."""
    return tag.rpartition("}")[2]
