from typing import Any

import pytest

from tests.bench.outcomes import OTHERS, TIMES, Check, HotSpot, Outcome, Series, limit_of
from tests.bench.report import number, render, table

MET = Check.at_least("against (b)", 2.6, 2.5, TIMES)
MISSED = Check.at_most("p99", 612.0, 500, "ms")
FIGURE = Check.figure("against (a)", 0.4, TIMES)
UNMEASURED = Check.at_least("against a peer", None, 1.5, TIMES)


def outcome(*checks: Check, **more: Any) -> Outcome:
    return Outcome("accept", "a push", [Series("ours", "requests/s", [1000.0, 1200.0, 1100.0])], checks, **more)


@pytest.mark.parametrize(
    ("check", "missed", "result"),
    [
        (Check.at_least("x", 2.5, 2.5, TIMES), False, "met"),
        (Check.at_least("x", 2.49, 2.5, TIMES), True, "**not met**"),
        (Check.at_most("x", 2.0, 2, "s"), False, "met"),
        (Check.at_most("x", 2.01, 2, "s"), True, "**not met**"),
        (FIGURE, False, "no target"),
        (UNMEASURED, False, "not measured"),
        (Check.figure("x", None, TIMES), False, "not measured"),
    ],
)
def test_a_check_knows_its_result(check: Check, missed: bool, result: str) -> None:
    assert check.missed is missed
    assert check.result == result


def test_only_a_missed_target_counts() -> None:
    assert outcome(MET, FIGURE, UNMEASURED).met
    assert not outcome(MET, MISSED).met


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.3519, "0.352 s"), (2.5, "2.5 s"), (99.94, "99.9 s"), (100.4, "100 s"), (12345.6, "12,346 s"), (0.0, "0 s")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value, "s") == text


def test_what_was_not_measured_is_a_dash() -> None:
    assert number(None, "s") == "-"


def test_the_page_says_that_the_build_of_the_interpreter_matters() -> None:
    assert "profile-guided optimisation costs 5-15 %" in render([outcome(MET)], {}, 2)


def test_a_skipped_scenario_has_its_sentence_and_no_empty_table() -> None:
    page = render([Outcome("processes", "two", [], [UNMEASURED], notes=["Skipped: no option."])], {}, 2)
    assert "## processes: two\n\nSkipped: no option." in page
    assert "| measured |" not in page


def test_a_number_without_a_unit_has_no_blank_behind_it() -> None:
    assert number(5, "") == "5"


def test_a_table_is_markdown_and_bars_do_not_break_it() -> None:
    assert table(("a", "b"), [("1", "x | y")]) == "| a | b |\n| --- | --- |\n| 1 | x \\| y |"


def test_the_page_says_what_was_found_and_what_was_wanted() -> None:
    page = render([outcome(MET, MISSED, FIGURE, UNMEASURED)], {"processor": "a slow one"}, 2)
    assert "| processor | a slow one |" in page
    assert "| accept | against (b) | 2.6 × | ≥ 2.5 × | met |" in page  # noqa: RUF001
    assert "| accept | p99 | 612 ms | ≤ 500 ms | **not met** |" in page
    assert "| accept | against (a) | 0.4 × | - | no target |" in page  # noqa: RUF001
    assert "| accept | against a peer | - | ≥ 1.5 × | not measured |" in page  # noqa: RUF001
    assert "| ours | 1,100 requests/s | 1,000 requests/s | 1,200 requests/s |" in page
    assert page.endswith("\n")


def test_a_missed_target_names_its_limit_and_shows_the_profile() -> None:
    hot = [HotSpot("_do_execute (asyncpg/connection.py:2035)", 0.158, 1335)]
    page = render([outcome(MISSED, busy={"the worker": 0.97, "PostgreSQL": 0.4}, hot=hot)], {}, 2)
    assert "Not met. What limits: the processor time of the worker, which keeps one core busy (0.97)." in page
    assert "the worker 0.97, PostgreSQL 0.40" in page
    assert "| _do_execute (asyncpg/connection.py:2035) | 15.8% | 1,335 |" in page


def test_a_busy_machine_is_told_of() -> None:
    assert "**This run was disturbed**: something else kept up to 1.25 of the 2 cores busy" in render(
        [outcome(MET, busy={OTHERS: 0.1}), outcome(MET, busy={OTHERS: 1.25})], {}, 2
    )
    assert "disturbed" not in render([outcome(MET, busy={"ours": 1.9, OTHERS: 0.1})], {}, 2)


def test_a_met_target_names_no_limit() -> None:
    page = render([outcome(MET, busy={"the worker": 0.97})], {}, 2)
    assert "What limits" not in page
    assert "Profile" not in page


@pytest.mark.parametrize(
    ("busy", "words"),
    [
        ({}, "not measured"),
        ({"ours": 0.9, "PostgreSQL": 0.2}, "the processor time of ours"),
        ({"ours": 0.9, "PostgreSQL": 0.85}, "all of the 2.00 cores that were free, most of it in ours (0.90)"),
        ({"ours": 0.3, "PostgreSQL": 0.1, OTHERS: 1.6}, "all of the 0.40 cores that were free, most of it in ours"),
        ({"ours": 0.3, "PostgreSQL": 0.1, OTHERS: 1.0}, "waiting"),
        ({OTHERS: 1.9}, "not measured"),
        ({"ours": 0.4, "PostgreSQL": 0.3}, "waiting"),
    ],
)
def test_processor_shares_tell_what_limits(busy: dict[str, float], words: str) -> None:
    assert words in limit_of(busy, 2)
