"""Requirements where several things that ran are shown under one name, or are of one type."""

from itertools import permutations

import pytest

from domain.facts.collection import completeness
from domain.facts.evaluation import Asked, LatestResult, State, artifact_findings, trail_findings, trail_status
from domain.facts.trails import TrailStatus
from tests.domain.facts.evidence import APP, DIGEST, OTHER, named, newest, template, types

UNIT = template(named("unit", "junit"))
ANY = template(named("unit"))
PUSH = newest("junit", name="unit", identity="ci.yml push", minute=1)
SATISFIED, FAILED, MISSING = State.SATISFIED, State.FAILED, State.MISSING


def pull_request(status: str = "PASSED", kind: str = "junit", name: str = "unit") -> LatestResult:
    return newest(kind, status, name, identity="ci.yml pull_request", minute=0)


@pytest.mark.parametrize(
    ("asked", "latest", "state"),
    [
        pytest.param(UNIT, [PUSH, pull_request()], SATISFIED, id="all passed"),
        pytest.param(UNIT, [PUSH, pull_request("FAILED")], FAILED, id="an older failure of another identity"),
        pytest.param(UNIT, [PUSH, pull_request("PENDING")], MISSING, id="one is not known yet"),
        pytest.param(UNIT, [PUSH, pull_request("FAILED", name="lint")], SATISFIED, id="it goes by another name now"),
        pytest.param(UNIT, [PUSH, pull_request(kind="snyk")], MISSING, id="one is of another type"),
        pytest.param(UNIT, [pull_request("FAILED"), newest("snyk", name="unit")], FAILED, id="failed, another type"),
        pytest.param(ANY, [PUSH, pull_request(kind="snyk")], SATISFIED, id="any type will do"),
        pytest.param(ANY, [PUSH, pull_request("FAILED", kind="snyk")], FAILED, id="any type may fail"),
        pytest.param(types("junit"), [PUSH, pull_request()], SATISFIED, id="all of the type passed"),
        pytest.param(types("junit"), [PUSH, pull_request("FAILED")], FAILED, id="one of the type failed"),
        pytest.param(types("junit"), [PUSH, pull_request("PENDING")], MISSING, id="one of the type is not known yet"),
    ],
)
def test_every_identity_must_pass(asked: Asked, latest: list[LatestResult], state: State) -> None:
    for order in permutations(latest):
        [finding] = trail_findings(asked, order, ()) or []
        assert finding.state is state
        assert {one.state for one in artifact_findings(asked, order, APP)} == {state}
        assert completeness(asked, order, ()).complete is (state is SATISFIED)


def test_of_one_identity_the_newest_counts_whatever_artifact_it_is_about() -> None:
    """For names, as ever; results of different artifacts do not fail each other."""
    whole = newest("junit", "FAILED", "unit", identity="ci", minute=1)
    later = newest("junit", name="unit", identity="ci", minute=2, digest=DIGEST)
    elsewhere = newest("junit", "FAILED", "unit", identity="ci", minute=3, digest=OTHER)
    [finding] = artifact_findings(template(app=[named("unit", "junit")]), [whole, later, elsewhere], APP)
    assert (finding.state, finding.latest) == (SATISFIED, (later,))


def test_a_failure_of_any_identity_fails_the_trail() -> None:
    assert trail_status(UNIT, [PUSH, pull_request("FAILED")], ()) == TrailStatus.NON_COMPLIANT
    assert trail_status(UNIT, [PUSH, pull_request()], ()) == TrailStatus.COMPLIANT
    assert trail_status(UNIT, [PUSH, pull_request(kind="snyk")], ()) == TrailStatus.PENDING
