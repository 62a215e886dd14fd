"""JUnit XML: what each runner writes, what lies in it, and that nesting is of no account."""

from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integrations.formats.evidence_files import error_of, fixture_names, fixture_reading, reading_of

EXPECTED = {
    "ctest__no_tests": (0, 0, 0, 0, []),
    "gotestsum__subtests": (
        5,
        2,
        0,
        1,
        ["example.com/northwind/depot.TestLoad/full", "example.com/northwind/depot.TestLoad"],
    ),
    "gradle__passed": (2, 0, 0, 0, []),
    "jest__suite_failed_to_run": (
        3,
        1,
        1,
        0,
        ["wagon list sorts by weight.wagon list sorts by weight", "Test suite failed to run.src/signals.test.js"],
    ),
    "nunit__nested": (4, 1, 0, 1, ["Northwind.Tests.DepotTests.Loads(2)"]),
    "pytest__mixed": (6, 1, 1, 2, ["tests.test_depot.test_departure", "tests.test_signals.test_signal"]),
    "summary__attributes_only": (12, 1, 0, 2, []),
    "surefire__error": (2, 0, 1, 0, ["example.northwind.SwitchTest.locks"]),
    "surefire__flaky_but_passed": (3, 0, 0, 1, []),
    "surefire__flaky_counted": (2, 0, 0, 0, []),
}
"""Tests, failures, errors, skipped and the names of what failed."""


def counts(xml: bytes | str) -> tuple[int, ...]:
    details = reading_of("junit", xml).details
    return tuple(details[name] for name in ("tests", "failures", "errors", "skipped"))


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == fixture_names("junit")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_each_runner_writes(name: str) -> None:
    tests, failures, errors, skipped, failed = EXPECTED[name]
    reading = fixture_reading("junit", "junit", name)
    assert reading.passed is (tests > 0 and failures + errors == 0)
    assert reading.details == {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped} | (
        {"failed": failed} if failed else {}
    )


def test_the_reason_says_how_many_failed() -> None:
    assert fixture_reading("junit", "junit", "pytest__mixed").reason == "Of 6 tests, 1 failed and 1 had errors"
    assert fixture_reading("junit", "junit", "ctest__no_tests").reason == "The file contains no test"


# Acceptance scenarios 28.2


def test_failures_in_the_attributes_fail() -> None:
    xml = '<testsuite tests="3" failures="1" errors="0" skipped="1"/>'
    assert reading_of("junit", xml).passed is False
    assert counts(xml) == (3, 1, 0, 1)


def test_no_failures_in_the_attributes_pass() -> None:
    assert reading_of("junit", '<testsuites><testsuite tests="3" failures="0"/></testsuites>').passed is True


@pytest.mark.parametrize(
    "xml",
    [
        "<testsuites/>",
        "<testsuite/>",
        '<testsuite tests="0"/>',
        '<testsuites tests="7"/>',
        "<testsuites>\n</testsuites>",
    ],
)
def test_no_tests_do_not_pass(xml: str) -> None:
    assert reading_of("junit", xml).passed is False
    assert counts(xml) == (0, 0, 0, 0)


def test_all_skipped_passes_as_nothing_failed() -> None:
    xml = '<testsuite><testcase name="a"><skipped/></testcase></testsuite>'
    assert reading_of("junit", xml).passed is True
    assert counts(xml) == (1, 0, 0, 1)


# Attributes that lie


def test_a_failing_case_counts_though_the_attributes_deny_it() -> None:
    xml = '<testsuite tests="1" failures="0" errors="0"><testcase name="a"><failure/></testcase></testsuite>'
    assert counts(xml) == (1, 1, 0, 0)


def test_cases_count_where_the_attributes_claim_more_of_them() -> None:
    assert counts('<testsuite tests="9" skipped="4"><testcase name="a"/></testsuite>') == (1, 0, 0, 0)


@pytest.mark.parametrize("claim", ['failures="2"', 'errors="2"', 'failures="1" errors="1"'])
def test_failures_that_no_case_shows_are_believed(claim: str) -> None:
    assert counts(f'<testsuite {claim}><testcase name="a"/><testcase name="b"/></testsuite>') == (2, 2, 0, 0)
    assert counts(f'<testsuites {claim}><testsuite><testcase name="a"/></testsuite></testsuites>') == (1, 2, 0, 0)


@pytest.mark.parametrize("claim", ['failures="2"', 'errors="2"', 'failures="1" errors="1"', 'failures="1"'])
@pytest.mark.parametrize("attempts", ["<flakyFailure/><flakyError/>", "<rerunFailure/><rerunError/>"])
def test_attempts_that_failed_before_a_case_passed_are_no_failures(claim: str, attempts: str) -> None:
    """Some versions of Surefire count them in the attributes."""
    suite = f'<testsuite {claim}><testcase name="a"/><testcase name="b">{attempts}</testcase></testsuite>'
    assert counts(suite) == (2, 0, 0, 0)
    assert counts(f"<testsuites {claim}>{suite}</testsuites>") == (2, 0, 0, 0)


def test_attempts_explain_no_more_failures_than_there_are_of_them() -> None:
    flaky = '<testcase name="a"><flakyFailure/></testcase>'
    assert counts(f'<testsuite failures="2">{flaky}</testsuite>') == (1, 1, 0, 0)
    failing = '<testcase name="b"><failure/><rerunFailure/></testcase>'
    assert counts(f'<testsuite failures="3">{flaky}{failing}</testsuite>') == (2, 1, 0, 0)


@pytest.mark.parametrize("state", ['status="disabled"', 'status="notrun"', 'status="run" result="suppressed"'])
def test_cases_that_are_switched_off_were_skipped(state: str) -> None:
    assert counts(f'<testsuite tests="1" disabled="1"><testcase name="a" {state}/></testsuite>') == (1, 0, 0, 1)
    assert counts(f'<testsuite><testcase name="a" {state}><failure/></testcase></testsuite>') == (1, 1, 0, 0)


def test_an_error_that_the_attributes_call_a_failure_counts_once() -> None:
    assert counts('<testsuite failures="1"><testcase name="a"><error/></testcase></testsuite>') == (1, 0, 1, 0)


def test_admitted_failures_are_not_added_at_each_level() -> None:
    inner = '<testsuite name="c" failures="3"><testcase name="a"/></testsuite>'
    xml = f'<testsuites failures="3"><testsuite failures="3">{inner}</testsuite></testsuites>'
    assert counts(xml) == (1, 3, 0, 0)


@pytest.mark.parametrize("name", ["tests", "failures", "errors", "skipped"])
@pytest.mark.parametrize("text", ["", "many", "-1", "1.0", "1,000", "0x1", "\u0661", "1_0", "9" * 10, "9" * 5000])
def test_attributes_that_are_no_numbers_fail(name: str, text: str) -> None:
    xml = f'<testsuite {name}="{text}"><testcase name="a"/></testsuite>'
    assert error_of("junit", xml) == f"The attribute {name} of a suite is not a number"


def test_blanks_around_a_number_are_fine() -> None:
    assert counts('<testsuite tests=" 2 "/>') == (2, 0, 0, 0)


# Cases


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<failure/><failure/><failure/>", (1, 1, 0, 0)),
        ("<error/><failure/>", (1, 1, 0, 0)),
        ("<failure/><skipped/><skipped/><error/><skipped/>", (1, 1, 0, 0)),
        ("<skipped/><error/>", (1, 0, 1, 0)),
        ("<skipped/>", (1, 0, 0, 1)),
        ("<system-out>failure</system-out>", (1, 0, 0, 0)),
        ("<rerunFailure/><flakyError/><flakyFailure/><rerunError/>", (1, 0, 0, 0)),
        ("<properties><property name='failure' value='1'/></properties>", (1, 0, 0, 0)),
        ("<system-out><failure/></system-out>", (1, 1, 0, 0)),
    ],
)
def test_a_case_counts_once_with_its_worst_outcome(inside: str, expected: tuple[int, ...]) -> None:
    assert counts(f'<testsuite><testcase name="a">{inside}</testcase></testsuite>') == expected


@pytest.mark.parametrize(("element", "expected"), [("failure", (2, 1, 0, 0)), ("error", (2, 0, 1, 0))])
def test_a_suite_that_breaks_by_itself_fails(element: str, expected: tuple[int, ...]) -> None:
    xml = f'<testsuite name="Depot"><{element} message="in setup"/><testcase name="a"/></testsuite>'
    assert counts(xml) == expected
    assert reading_of("junit", xml).details["failed"] == ["Depot"]


def test_a_skipped_suite_is_not_a_skipped_case() -> None:
    assert counts('<testsuite><skipped/><testcase name="a"/></testsuite>') == (1, 0, 0, 0)


def test_namespaces_do_not_hide_a_failure() -> None:
    suite = '<t:testsuite xmlns:t="urn:x"><t:testcase name="a"><t:failure/></t:testcase></t:testsuite>'
    assert counts(suite) == (1, 1, 0, 0)
    assert counts(suite.replace("t:", "").replace("xmlns:t", "xmlns")) == (1, 1, 0, 0)


def failing(names: list[str]) -> str:
    cases = "".join(f"<testcase name={quoteattr(name)}><failure/></testcase>" for name in names)
    return f"<testsuite>{cases}</testsuite>"


def test_twenty_failing_cases_are_named() -> None:
    reading = reading_of("junit", failing([f"t{n}" for n in range(50)]))
    assert reading.details["failures"] == 50
    assert reading.details["failed"] == [f"t{n}" for n in range(20)]


def test_names_are_cut_and_made_printable() -> None:
    (name,) = reading_of("junit", failing(["a\u202eb\tc" + "x" * 1000])).details["failed"]
    assert name == "a\ufffdb\ufffdc" + "x" * 195


def test_the_longest_names_fit() -> None:
    assert len(reading_of("junit", failing(["\U0001f682" * 300] * 30)).details["failed"]) == 20


def test_a_case_without_a_name_still_fails() -> None:
    reading = reading_of("junit", "<testsuite><testcase><failure/></testcase></testsuite>")
    assert reading.passed is False
    assert reading.details["failed"] == [""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_encodings(encoding: str) -> None:
    declared = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16", "utf-16-be": "utf-16", "latin-1": "iso-8859-1"}
    head = f'<?xml version="1.0" encoding="{declared.get(encoding, encoding)}"?>'
    xml = f'{head}<testsuite><testcase name="Zürich"><failure/></testcase></testsuite>'
    assert reading_of("junit", xml.encode(encoding)).details["failed"] == ["Zürich"]


# What is no JUnit report


@pytest.mark.parametrize("root", ["html", "coverage", "testcase", "TestSuite", "failure"])
def test_another_root_is_named(root: str) -> None:
    assert error_of("junit", f"<{root}/>") == f"The file is not JUnit XML: its root element is {root}"


@pytest.mark.parametrize(
    "content",
    [
        b"\0",
        b"\n",
        b"{}",
        b"\xff\xfe\xfd",
        b"<",
        b"<testsuite>",
        b"<testsuite><testcase></testsuite>",
        b"<testsuite/><testsuite/>",
        b"<testsuite name='\xff'/>",
        b"<testsuite name='\0'/>",
        b"<testsuite name='&#0;'/>",
        b"<testsuite name='&#xD800;'/>",
        b"<testsuite>&unknown;</testsuite>",
        b"<testsuite tests='1' tests='2'/>",
        b"<x:testsuite/>",
        b'<?xml version="1.0" encoding="utf-7"?><testsuite/>',
        b'<?xml version="1.0" encoding="no-such"?><testsuite/>',
        b'<?xml version="1.0" encoding="zlib_codec"?><testsuite/>',
        "<testsuite/>".encode("utf-32"),
    ],
)
def test_broken_xml_fails(content: bytes) -> None:
    assert error_of("junit", content).startswith("The file is not well-formed XML: ")


def test_an_empty_file_fails() -> None:
    assert error_of("junit", b"") == "The file is empty"


def test_a_file_cut_off_fails() -> None:
    whole = b'<testsuite><testcase name="a"/>\n</testsuite>'
    assert reading_of("junit", whole).passed is True
    for length in range(1, len(whole)):
        assert "well-formed" in error_of("junit", whole[:length])


# Nesting


cases = st.lists(
    st.sampled_from(["", "<failure/>", "<error/>", "<skipped/>", "<system-out>x</system-out>"]), max_size=5
)
trees = st.recursive(cases, lambda inner: st.lists(inner, max_size=4), max_leaves=12)
Tree = list[Any]


def leaves(tree: Tree) -> list[str]:
    return [case for part in tree for case in ([part] if isinstance(part, str) else leaves(part))]


def to_text(tree: Tree, tag: str = "testsuite", *, attributes: bool) -> str:
    found = leaves(tree)
    claims = {
        "tests": len(found),
        "failures": found.count("<failure/>"),
        "errors": found.count("<error/>"),
        "skipped": found.count("<skipped/>"),
    }
    shown = "".join(f' {name}="{count}"' for name, count in claims.items()) if attributes else ""
    inside = "".join(
        f'<testcase name="a">{part}</testcase>' if isinstance(part, str) else to_text(part, attributes=attributes)
        for part in tree
    )
    return f"<{tag}{shown}>{inside}</{tag}>"


@given(trees, st.booleans(), st.sampled_from(["testsuite", "testsuites"]))
def test_nesting_never_changes_a_total(tree: Tree, attributes: bool, root: str) -> None:
    flat = leaves(tree)
    expected = (len(flat), flat.count("<failure/>"), flat.count("<error/>"), flat.count("<skipped/>"))
    assert counts(to_text(flat, attributes=attributes)) == expected
    assert counts(to_text(tree, root, attributes=attributes)) == expected
