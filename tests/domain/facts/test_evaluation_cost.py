"""What judging costs: in proportion to requirements, artifacts and results, whatever they have in common."""

import time
from collections.abc import Callable

import pytest

from domain.facts.evaluation import Asked, Candidate, LatestResult, trail_findings
from domain.facts.requirements import Requirement
from tests.domain.facts.evidence import named, newest, template

ARTIFACTS = [Candidate("app", f"sha256:{n:064x}") for n in range(14)]

Trail = tuple[Asked, list[LatestResult]]


def names(size: int) -> Trail:
    """Every requirement has its own name, with four results."""
    latest = [newest("junit", name=f"n{n % size}", identity=f"i{n}", minute=n) for n in range(4 * size)]
    return template(app=[named(f"n{n}", "junit") for n in range(size)]), latest


def types_(size: int) -> Trail:
    """Every requirement has its own type, with four results."""
    latest = [newest(f"t{n % size}", name=f"n{n}", minute=n) for n in range(4 * size)]
    return template(app=[Requirement(f"t{n}") for n in range(size)]), latest


def one_name(size: int) -> Trail:
    """All requirements ask for one name, which all results have: each for another type."""
    latest = [newest(f"t{n % size}", name="n", identity=f"i{n}", minute=n) for n in range(4 * size)]
    return template(app=[named("n", f"t{n}") for n in range(size)]), latest


def one_type(size: int) -> Trail:
    """All requirements ask for the same type, which all results have."""
    latest = [newest("junit", name=f"n{n}", minute=n) for n in range(4 * size)]
    return template(app=[Requirement("junit")] * size), latest


def seconds(trail: Trail) -> float:
    """Processor time of one judgement: the least of several, so that nothing else counts."""
    asked, latest = trail
    times = []
    for _ in range(5):
        start = time.process_time()
        assert len(trail_findings(asked, latest, ARTIFACTS) or []) == len(ARTIFACTS) * len(latest) // 4
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("shape", [names, types_, one_name, one_type])
def test_twice_as_much_takes_twice_as_long(shape: Callable[[int], Trail]) -> None:
    """Comparing everything with everything would take four times as long."""
    assert seconds(shape(200)) < 3 * seconds(shape(100))
