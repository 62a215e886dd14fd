"""The answer of an assertion and its reasons."""

import pytest

from domain.facts.assertions import AssertionOutcome, assess, unknown_artifact
from domain.facts.evaluation import Asked, LatestResult
from domain.facts.requirements import RequirementSet
from tests.domain.facts.evidence import APP, DIGEST, OTHER, named, newest, template, types

YES, NO = AssertionOutcome.COMPLIANT, AssertionOutcome.NON_COMPLIANT


@pytest.mark.parametrize(
    ("asked", "latest", "outcome", "details"),
    [
        pytest.param(types(), [], YES, "nothing is required", id="nothing asked, nothing there"),
        pytest.param(
            types(), [newest("X", "FAILED")], NO, "failed although not required: X", id="nothing asked, one failed"
        ),
        pytest.param(types("TEST"), [newest("TEST")], YES, "all required attestations passed", id="passed"),
        pytest.param(types("TEST"), [], NO, "missing: TEST", id="missing"),
        pytest.param(types("TEST"), [newest("TEST", "PENDING")], NO, "missing: TEST", id="pending is missing"),
        pytest.param(types("TEST"), [newest("TEST", "FAILED")], NO, "failed: TEST", id="failed"),
        pytest.param(
            types("TEST"),
            [newest("TEST"), newest("EXTRA", "FAILED")],
            YES,
            "all required attestations passed",
            id="what nobody asked for does not block where something is asked",
        ),
        pytest.param(
            types("TEST"), [newest("TEST", digest=OTHER)], NO, "missing: TEST", id="evidence of another digest"
        ),
        pytest.param(
            types("TEST"), [newest("TEST", digest=DIGEST)], YES, "all required attestations passed", id="of this"
        ),
        pytest.param(
            types("TEST", approval=True),
            [newest("TEST")],
            NO,
            "an approval is required and none was granted",
            id="without approval",
        ),
        pytest.param(
            types(approval=True), [], NO, "an approval is required and none was granted", id="nothing but approval"
        ),
        pytest.param(
            template(named("unit", "junit")), [newest("junit", "FAILED", "unit")], NO, "failed: unit", id="by name"
        ),
        pytest.param(template(web=[named("scan")]), [], YES, "nothing is required", id="another artifact's entry"),
        pytest.param(
            template(named("scan", "*", "flow.tags.tier ==")),
            [],
            NO,
            "missing: scan; if of 'scan': ends too early",
            id="a condition that cannot be read",
        ),
        pytest.param(
            Asked(RequirementSet.from_json({}), approval=False, flow_name="f"),
            [newest("TEST")],
            NO,
            "the stored template cannot be read",
            id="a template that cannot be read",
        ),
    ],
)
def test_the_table(asked: Asked, latest: list[LatestResult], outcome: AssertionOutcome, details: str) -> None:
    found = assess(asked, latest, APP)
    assert (found.outcome, found.details) == (outcome, details)


def test_lists_name_types_and_names_apart_and_what_failed_is_missing_too() -> None:
    by_type = assess(types("A", "B"), [newest("A", "FAILED")], APP)
    assert (by_type.missing_types, by_type.failed_types) == (("A", "B"), ("A",))
    assert (by_type.missing_names, by_type.failed_names) == ((), ())
    by_name = assess(template(named("a"), named("b")), [newest("x", "FAILED", "a")], APP)
    assert (by_name.missing_names, by_name.failed_names) == (("a", "b"), ("a",))
    assert (by_name.missing_types, by_name.failed_types) == ((), ())


def test_everything_looked_at_is_listed_and_marked() -> None:
    asked_for, extra, elsewhere = (
        newest("TEST", minute=1),
        newest("LINT", minute=2),
        newest("SCAN", minute=3, digest=OTHER),
    )
    found = assess(types("TEST"), [asked_for, extra, elsewhere], APP)
    assert [(one.newest, one.required) for one in found.considered] == [(asked_for, True), (extra, False)]


def test_an_unknown_artifact_misses_everything() -> None:
    found = unknown_artifact(template(named("unit"), app=[named("scan")]))
    assert (found.outcome, found.missing_names) == (NO, ("unit",))
    assert unknown_artifact(types("TEST")).missing_types == ("TEST",)
    assert unknown_artifact(types()).outcome is NO
