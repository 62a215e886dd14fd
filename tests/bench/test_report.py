from typing import Any

import pytest

from tests.bench.outcomes import OTHERS, TIMES, Check, HotSpot, Outcome, Series, limit_of
from tests.bench.report import number, render, table

MET = Check.at_least("against (b)", 2.6, 2.5, TIMES)
MISSED = Check.at_most("p99", 612.0, 500, "ms")
AIM = Check.at_least("against (a)", 0.4, 0.5, TIMES, aim=True)


def outcome(*checks: Check, **more: Any) -> Outcome:
    return Outcome("accept", "a push", [Series("ours", "requests/s", [1000.0, 1200.0, 1100.0])], checks, **more)


@pytest.mark.parametrize(
    ("check", "met", "verdict"),
    [
        (Check.at_least("x", 2.5, 2.5, TIMES), True, "met"),
        (Check.at_least("x", 2.49, 2.5, TIMES), False, "**not met**"),
        (Check.at_most("x", 2.0, 2, "s"), True, "met"),
        (Check.at_most("x", 2.01, 2, "s"), False, "**not met**"),
        (AIM, False, "missed (an aim)"),
        (Check.at_least("x", 0.5, 0.5, TIMES, aim=True), True, "met"),
    ],
)
def test_a_check_knows_its_verdict(check: Check, met: bool, verdict: str) -> None:
    assert check.met is met
    assert check.verdict == verdict


def test_an_aim_that_is_missed_breaks_no_contract() -> None:
    assert outcome(MET, AIM).met
    assert not outcome(MET, MISSED).met


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.3519, "0.352 s"), (2.5, "2.5 s"), (99.94, "99.9 s"), (100.4, "100 s"), (12345.6, "12,346 s"), (0.0, "0 s")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value, "s") == text


def test_a_number_without_a_unit_has_no_blank_behind_it() -> None:
    assert number(5, "") == "5"


def test_a_table_is_markdown_and_bars_do_not_break_it() -> None:
    assert table(("a", "b"), [("1", "x | y")]) == "| a | b |\n| --- | --- |\n| 1 | x \\| y |"


def test_the_page_says_what_was_found_and_what_was_wanted() -> None:
    page = render([outcome(MET, MISSED)], {"processor": "a slow one"}, 2)
    assert "| processor | a slow one |" in page
    assert "| accept | against (b) | 2.6 × | ≥ 2.5 × | met |" in page  # noqa: RUF001
    assert "| accept | p99 | 612 ms | ≤ 500 ms | **not met** |" in page
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
