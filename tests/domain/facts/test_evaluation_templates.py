"""Status by a template: names, artifacts, conditions."""

import pytest

from domain.facts.evaluation import (
    Asked,
    Candidate,
    LatestResult,
    State,
    artifact_findings,
    trail_findings,
    trail_status,
)
from domain.facts.requirements import Requirement, RequirementSet
from domain.facts.trails import TrailStatus
from tests.domain.facts.evidence import APP, DIGEST, OTHER, named, newest, template, types

PENDING, COMPLIANT, NON_COMPLIANT = TrailStatus.PENDING, TrailStatus.COMPLIANT, TrailStatus.NON_COMPLIANT
UNIT = named("unit", "junit")
GATED = named("pen-test", "generic", 'flow.tags.tier == "gold"')
WAIVED = named("pen-test", "generic", 'flow.tags.tier == "silver"')
BROKEN = named("pen-test", "generic", "flow.tags.tier ==")


@pytest.mark.parametrize(
    ("asked", "latest", "artifacts", "expected"),
    [
        pytest.param(template(UNIT), [], [], PENDING, id="nothing reported"),
        pytest.param(template(UNIT), [newest("junit", name="unit")], [], COMPLIANT, id="by name and type"),
        pytest.param(template(UNIT), [newest("junit")], [], PENDING, id="the type alone is no name"),
        pytest.param(template(UNIT), [newest("snyk", name="unit")], [], PENDING, id="a wrong type does not satisfy"),
        pytest.param(template(named("unit")), [newest("snyk", name="unit")], [], COMPLIANT, id="any type will do"),
        pytest.param(template(UNIT), [newest("junit", "PENDING", "unit")], [], PENDING, id="pending"),
        pytest.param(template(UNIT), [newest("junit", "FAILED", "unit")], [], NON_COMPLIANT, id="failed"),
        pytest.param(
            template(UNIT),
            [newest("junit", name="unit"), newest("x", "FAILED")],
            [],
            NON_COMPLIANT,
            id="an unasked failure",
        ),
        pytest.param(template(GATED), [newest("x")], [], PENDING, id="a condition that holds"),
        pytest.param(template(WAIVED), [newest("x")], [], COMPLIANT, id="a condition that does not hold"),
        pytest.param(template(BROKEN), [newest("x")], [], PENDING, id="a condition that cannot be read waives nothing"),
        pytest.param(template(WAIVED), [], [], PENDING, id="an empty trail is not compliant"),
        pytest.param(template(app=[]), [], [], PENDING, id="an artifact that was never reported"),
        pytest.param(template(app=[]), [], [APP], COMPLIANT, id="an artifact that needs nothing but to be there"),
        pytest.param(template(app=[]), [], [Candidate("web", OTHER)], PENDING, id="another artifact"),
        pytest.param(
            template(app=[UNIT]), [newest("junit", name="unit")], [APP], COMPLIANT, id="evidence of the trail"
        ),
        pytest.param(
            template(app=[UNIT]), [newest("junit", name="unit", digest=DIGEST)], [APP], COMPLIANT, id="of the artifact"
        ),
        pytest.param(
            template(app=[UNIT]), [newest("junit", name="unit", digest=OTHER)], [APP], PENDING, id="of another digest"
        ),
        pytest.param(
            template(app=[UNIT]), [newest("junit", name="unit", slot="app")], [APP], COMPLIANT, id="meant for its slot"
        ),
        pytest.param(
            template(app=[UNIT]),
            [newest("junit", name="unit", slot="web")],
            [APP],
            PENDING,
            id="meant for another slot",
        ),
        pytest.param(
            template(UNIT), [newest("junit", name="unit", slot="app")], [APP], PENDING, id="a slot's is not the trail's"
        ),
        pytest.param(
            template(app=[UNIT]),
            [newest("junit", name="unit", digest=DIGEST)],
            [APP, Candidate("app", OTHER)],
            PENDING,
            id="two artifacts under one name each need theirs",
        ),
        pytest.param(
            template(app=[named("scan", "*", 'artifact.name == "web"')]),
            [newest("x")],
            [APP],
            COMPLIANT,
            id="by artifact",
        ),
        pytest.param(
            types("TEST"), [newest("TEST", slot="app", digest=DIGEST)], [], COMPLIANT, id="types are met anywhere"
        ),
    ],
)
def test_the_table(asked: Asked, latest: list[LatestResult], artifacts: list[Candidate], expected: TrailStatus) -> None:
    assert trail_status(asked, latest, artifacts) == expected


def test_of_one_name_the_newest_counts_whatever_it_was_reported_for() -> None:
    earlier, later = newest("junit", name="unit", minute=1), newest("junit", "PENDING", "unit", minute=2, digest=DIGEST)
    [finding] = artifact_findings(template(app=[UNIT]), [later, earlier], APP)
    assert (finding.state, finding.latest) == (State.MISSING, (later,))


def test_a_broken_condition_is_told() -> None:
    [finding] = trail_findings(template(BROKEN), [], ()) or []
    assert finding.state is State.MISSING
    assert finding.problem == "if of 'pen-test': ends too early"


def test_requirements_that_cannot_be_read_are_never_met() -> None:
    unreadable = Asked(RequirementSet.from_json({"trail": "junk"}), approval=False, flow_name="flow")
    assert unreadable.requirements.problem
    assert trail_findings(unreadable, [newest("TEST")], ()) is None
    assert trail_status(unreadable, [newest("TEST")], ()) == PENDING


@pytest.mark.parametrize(
    "stored", [{}, {"trail": []}, {"trail": [{}], "artifacts": []}, {"trail": [], "artifacts": [1]}]
)
def test_junk_is_a_problem_and_no_requirement_set(stored: dict[str, object]) -> None:
    assert RequirementSet.from_json(stored).problem == "the stored template cannot be read"


def test_a_requirement_set_survives_its_storage() -> None:
    asked = template(UNIT, GATED, Requirement("TEST"), app=[named("scan")], web=[]).requirements
    assert RequirementSet.from_json(asked.to_json()) == asked
