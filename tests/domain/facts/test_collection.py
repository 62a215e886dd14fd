"""What a trail lacks, by the one evaluator."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.facts.attestations import ResultStatus
from domain.facts.collection import Completeness, completeness
from domain.facts.evaluation import Asked, Candidate, LatestResult
from domain.facts.requirements import ANY_TYPE, ArtifactSlot, Requirement, RequirementSet

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
APP = Candidate("app", "sha256:" + "a" * 64)
OTHER_APP = Candidate("app", "sha256:" + "b" * 64)


def newest(type_: str, status: str, name: str | None = None, slot: str = "", digest: str = "") -> LatestResult:
    return LatestResult(name or f"type:{type_}", name, type_, slot, digest, ResultStatus(status), NOON, uuid4(), 1)


def by_types(*types: str, approval: bool = False) -> Asked:
    return Asked(RequirementSet.of_types(types), approval, "flow")


TEMPLATE = Asked(
    RequirementSet(
        (Requirement("junit", "unit"), Requirement(ANY_TYPE, "review", 'flow.name == "strict"')),
        (ArtifactSlot("app", (Requirement("snyk", "scan"),)), ArtifactSlot("db")),
    ),
    False,
    "flow",
)


@pytest.mark.parametrize(
    ("required", "latest", "missing", "failed"),
    [
        ((), [], (), ()),
        ((), [newest("X", "FAILED")], (), ()),
        (("A",), [], ("A",), ()),
        (("A",), [newest("A", "PASSED")], (), ()),
        (("A",), [newest("A", "PENDING")], ("A",), ()),
        (("A",), [newest("A", "FAILED")], (), ("A",)),
        (("A", "B"), [newest("A", "FAILED")], ("B",), ("A",)),
        (("A",), [newest("A", "PASSED"), newest("X", "FAILED")], (), ()),
        (("A",), [newest("A", "PASSED", "one"), newest("A", "FAILED", "two")], (), ("A",)),
    ],
)
def test_by_types(
    required: tuple[str, ...], latest: list[LatestResult], missing: tuple[str, ...], failed: tuple[str, ...]
) -> None:
    found = completeness(by_types(*required), latest, ())
    assert found == Completeness(missing_types=missing, failed_types=failed)
    assert found.complete is not bool(missing or failed)


def test_an_outstanding_approval_is_no_lack_of_evidence() -> None:
    assert completeness(by_types("A", approval=True), [newest("A", "PASSED")], ()).complete


def test_names_stand_apart_from_types_and_what_does_not_apply_is_not_missing() -> None:
    found = completeness(TEMPLATE, [], ())
    assert found == Completeness(missing_names=("unit",), absent_artifacts=("app", "db"))


def test_an_absent_artifact_does_not_hide_what_is_known_of_the_others() -> None:
    latest = [newest("junit", "PASSED", "unit"), newest("snyk", "FAILED", "scan", slot="app")]
    found = completeness(TEMPLATE, latest, [APP])
    assert found == Completeness(failed_names=("scan",), absent_artifacts=("db",))
    assert not found.complete


def test_every_artifact_of_a_name_needs_its_own() -> None:
    latest = [newest("junit", "PASSED", "unit"), newest("snyk", "PASSED", "scan", digest=APP.digest)]
    both = [APP, OTHER_APP, Candidate("db", "sha256:" + "c" * 64)]
    assert completeness(TEMPLATE, latest, both) == Completeness(missing_names=("scan",))
    latest.append(newest("snyk", "PASSED", "scan", digest=OTHER_APP.digest))
    assert completeness(TEMPLATE, latest, both).complete


def test_what_cannot_be_read_is_never_complete() -> None:
    asked = Asked(RequirementSet.from_json({"trail": "?"}), False, "flow")
    found = completeness(asked, [newest("A", "PASSED")], ())
    assert found.problem
    assert not found.complete


def test_a_label_is_told_once() -> None:
    twice = Asked(
        RequirementSet(
            (),
            (
                ArtifactSlot(
                    "app",
                    (Requirement("snyk", "scan"), Requirement("snyk")),
                ),
            ),
        ),
        False,
        "flow",
    )
    found = completeness(twice, [], [APP, OTHER_APP])
    assert found == Completeness(missing_types=("snyk",), missing_names=("scan",))
