"""JUnit XML as written by pytest, Maven, Gradle, Jest, gotestsum and others. There is no standard.

Every test case is counted once, however suites are nested, by the outcome that it ended with: failed attempts of a case
that was run again are not failures. The totals in a suite's attributes are used only if the suite has no cases, or if
they report more failures than its cases and their attempts show.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable, shown
from integrations.formats.xml_files import stream

_SUITES = ("testsuite", "testsuites")
_WORST_FIRST = ("failure", "error", "skipped")
_BAD = ("failure", "error")
_ATTEMPTS = ("flakyFailure", "flakyError", "rerunFailure", "rerunError")
"""Surefire's elements for the failed attempts of a case that was run again; some of its versions count each of them in
the suite's attributes."""
_NOT_RUN = ("disabled", "notrun", "skipped", "suppressed")
"""Values of a case's `status` or `result`, as CTest and GoogleTest write them for tests that are switched off."""
_NUMBER = re.compile("[0-9]{1,9}")
_SHOWN_CASES = 20


def parse(path: Path, deadline: Deadline) -> ParsedEvidence:
    """Pass if there are tests and none of them has a failure or an error. Raises Unreadable."""
    report = _Report()
    stream(path, report.start, report.end, deadline)
    return report.parsed()


@dataclass(slots=True)
class _Counts:
    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0

    @property
    def bad(self) -> int:
        return self.failures + self.errors

    def add(self, other: "_Counts") -> None:
        self.tests += other.tests
        self.failures += other.failures
        self.errors += other.errors
        self.skipped += other.skipped


@dataclass(slots=True)
class _Suite:
    """An open `testsuite` or `testsuites`: `claimed` are the totals in its attributes, `counted` those of its cases.

    `attempts` are the failed ones of cases that were run again.
    """

    name: str
    claimed: _Counts
    counted: _Counts = field(default_factory=_Counts)
    attempts: int = 0
    is_leaf: bool = True

    def hold_suite(self, suite: "_Suite") -> None:
        self.is_leaf = False
        self.counted.add(suite.total())
        self.attempts += suite.attempts

    def hold_case(self, outcome: str | None) -> None:
        self.is_leaf = False
        self.counted.tests += 1
        if outcome == "failure":
            self.counted.failures += 1
        elif outcome == "error":
            self.counted.errors += 1
        elif outcome == "skipped":
            self.counted.skipped += 1

    def total(self) -> _Counts:
        if self.is_leaf:
            return self.claimed
        unseen = max(0, self.claimed.bad - self.counted.bad - self.attempts)
        return replace(self.counted, failures=self.counted.failures + unseen)


@dataclass(slots=True)
class _Case:
    attributes: Mapping[str, str]
    outcome: str | None = None

    def note(self, outcome: str) -> None:
        """Keep the worst outcome: a case may have a failure, an error in its tear-down, and a skip as well."""
        if self.outcome is None or _WORST_FIRST.index(outcome) < _WORST_FIRST.index(self.outcome):
            self.outcome = outcome


class _Report:
    """Counts the elements of one file; only the open ones are in memory."""

    def __init__(self) -> None:
        self._suites: list[_Suite] = []
        self._cases: list[_Case] = []
        self._total = _Counts()
        self._failed: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in _SUITES:
            self._suites.append(_suite(name, attributes))
        elif not self._suites:
            raise Unreadable(f"The file is not JUnit XML: its root element is {shown(name)}")
        elif name == "testcase":
            self._cases.append(_Case(attributes))
        elif name in _WORST_FIRST:
            self._note(name)
        elif name in _ATTEMPTS:
            self._suites[-1].attempts += 1

    def end(self, name: str) -> None:
        if name in _SUITES:
            suite = self._suites.pop()
            if self._suites:
                self._suites[-1].hold_suite(suite)
            else:
                self._total = suite.total()
        elif name == "testcase":
            case = self._cases.pop()
            self._count(case.outcome or _not_run(case.attributes), case.attributes)

    def parsed(self) -> ParsedEvidence:
        total = self._total
        failed = {"failed": self._failed} if self._failed else {}
        return ParsedEvidence(total.tests > 0 and not total.bad, asdict(total) | failed, _reason(total))

    def _note(self, outcome: str) -> None:
        if self._cases:
            self._cases[-1].note(outcome)
        elif outcome in _BAD:
            self._count(outcome, {"name": self._suites[-1].name})  # the suite itself failed, as in its set-up

    def _count(self, outcome: str | None, attributes: Mapping[str, str]) -> None:
        self._suites[-1].hold_case(outcome)
        if outcome in _BAD and len(self._failed) < _SHOWN_CASES:
            self._failed.append(_full_name(attributes))


def _not_run(attributes: Mapping[str, str]) -> str | None:
    states = (attributes.get(name, "").lower() for name in ("status", "result"))
    return "skipped" if any(state in _NOT_RUN for state in states) else None


def _reason(total: _Counts) -> str | None:
    if total.bad:
        return f"Of {total.tests} tests, {total.failures} failed and {total.errors} had errors"
    return None if total.tests else "The file contains no test"


def _full_name(attributes: Mapping[str, str]) -> str:
    return shown(".".join(filter(None, (attributes.get("classname"), attributes.get("name")))))


def _suite(name: str, attributes: Mapping[str, str]) -> _Suite:
    claimed = _Counts(*(_number(attributes, count) for count in ("tests", "failures", "errors", "skipped")))
    if name == "testsuites":
        claimed.tests = claimed.skipped = 0  # the root element may report failures, but contains no tests itself
    return _Suite(attributes.get("name", ""), claimed)


def _number(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name, "0").strip()
    if not _NUMBER.fullmatch(text):
        raise Unreadable(f"The attribute {name} of a suite is not a number")
    return int(text)
