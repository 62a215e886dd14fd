"""What the values of rules mean for a decision, and the input that stored facts make."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.canonical import canonical_json
from domain.errors import Invalid, TooLarge
from domain.facts.approvals import Standing
from domain.facts.artifacts import ProvenanceStatus
from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import LatestResult
from domain.facts.trails import Trail, TrailStatus
from domain.gates.opa import Bundle, BundleStatus, Evaluation, ScanCounts, Subject, opa_input, outcome_of
from domain.gates.rego import MAX_MODULE, Module, Rule, Source, checked_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALLOW, DENY = Rule(("a",), "allow"), Rule(("a",), "deny")
OTHER_ALLOW, OTHER_DENY = Rule(("b", "c"), "allow"), Rule(("b", "c"), "deny")
NOT_TRUE = "data.a.allow is not true in the policy bundle release 1.0.0"


def bundle_of(*rules: Rule) -> Bundle:
    source = Source((Module("gate.rego", "package a"),))
    return Bundle(UUID(int=1), UUID(int=2), "release", "1.0.0", source, rules, source.sha256, NOW, 2, NOW, NOW)


@pytest.mark.parametrize(
    ("rules", "values", "reasons"),
    [
        ([ALLOW], {ALLOW: True}, []),
        ([ALLOW], {ALLOW: False}, [NOT_TRUE]),
        ([ALLOW], {}, [NOT_TRUE]),
        ([ALLOW], {ALLOW: "yes"}, [NOT_TRUE]),
        ([ALLOW], {ALLOW: 1}, [NOT_TRUE]),
        ([DENY], {DENY: []}, []),
        ([DENY], {}, []),
        ([DENY], {DENY: False}, []),
        ([DENY], {DENY: {}}, []),
        ([DENY], {DENY: True}, ["data.a.deny is true"]),
        ([DENY], {DENY: "no"}, ["no"]),
        ([DENY], {DENY: ""}, [""]),
        ([DENY], {DENY: None}, ["null"]),
        ([DENY], {DENY: 0}, ["0"]),
        ([DENY], {DENY: ["x", "y"]}, ["x", "y"]),
        ([DENY], {DENY: [{"é": [1, True]}, False]}, ['{"é": [1, true]}', "false"]),
        ([DENY], {DENY: {"x": True, "y": "late", "z": [1]}}, ["x", "y: late", "z: [1]"]),
        ([ALLOW, DENY], {ALLOW: True, DENY: ["x"]}, ["x"]),
        ([ALLOW, DENY], {ALLOW: False, DENY: ["x"]}, ["x"]),
        ([ALLOW, OTHER_ALLOW], {OTHER_ALLOW: True}, [NOT_TRUE]),
        ([ALLOW, OTHER_DENY], {ALLOW: True, OTHER_DENY: ["x"]}, ["x"]),
        ([DENY, OTHER_DENY], {DENY: ["x"], OTHER_DENY: ["y"]}, ["x", "y"]),
        ([], {}, ["No rule decides in the policy bundle release 1.0.0"]),
        ([DENY], {DENY: ["a\0b"]}, ["a\ufffdb"]),
        ([DENY], {DENY: ["x" * 1001]}, ["x" * 1000 + "…"]),
        ([DENY], {DENY: ["x"] * 102}, ["x"] * 100 + ["and 2 more reasons"]),
    ],
)
def test_values_decide(rules: list[Rule], values: dict[Rule, Any], reasons: list[str]) -> None:
    outcome = outcome_of(bundle_of(*rules), "{}", Evaluation(values))
    assert (outcome.allow, list(outcome.reasons)) == (not reasons, reasons)


def test_a_failure_does_not_allow() -> None:
    outcome = outcome_of(bundle_of(DENY), "{}", Evaluation(failure="The evaluation crashed"))
    assert outcome.reasons == ("The evaluation crashed (the policy bundle release 1.0.0)",)
    assert not outcome.allow


def test_an_outcome_says_what_it_is_of() -> None:
    outcome = outcome_of(bundle_of(ALLOW), "{}", Evaluation({ALLOW: True}))
    assert (outcome.name, outcome.version, outcome.sha256) == ("release", "1.0.0", bundle_of().sha256)
    assert outcome.input_digest == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_bundle_is_active_since_it_was_activated() -> None:
    assert bundle_of().status is BundleStatus.ACTIVE
    assert replace(bundle_of(), activated_at=None).status is BundleStatus.INACTIVE


def test_equal_content_has_one_digest() -> None:
    one, other = Module("a.rego", "package a"), Module("b.rego", "package b")
    assert (
        checked_source([other, one], {"x": 1, "y": 2}).sha256 == checked_source([one, other], {"y": 2, "x": 1}).sha256
    )
    assert checked_source([one], {}).sha256 != checked_source([one], {"x": 1}).sha256


def test_a_bundle_has_limits() -> None:
    module = Module("a.rego", "x" * MAX_MODULE)
    assert checked_source([module], {}).size == MAX_MODULE + 2
    for modules, data in (
        ([Module("a.rego", "é" * MAX_MODULE)], {}),
        ([module._replace(path=str(n)) for n in range(4)], {}),
        ([module], {"x": "y" * (1 << 20)}),
        ([Module(str(n), "") for n in range(101)], {}),
    ):
        with pytest.raises(TooLarge):
            checked_source(modules, data)
    with pytest.raises(Invalid):
        checked_source([], {})
    with pytest.raises(Invalid):
        checked_source([Module("a.rego", "package a\0")], {})


DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TRAIL = Trail(
    id=UUID(int=7), org_id=UUID(int=2), flow_id=UUID(int=8), flow_version=1, name="build 1", correlation_key=None,
    git_commit_sha="abc", git_branch="main", git_author="Ada", git_author_email="ada@example.com",
    git_repository="acme/app", pull_request_id=None, pull_request_reviewer=None, deployment_actor=None, build_url=None,
    user_data=None, template_text=None, status=TrailStatus.PENDING, status_at=NOW, version=1, created_at=NOW,
)  # fmt: skip


def result(kind: str, digest: str = "", status: ResultStatus = ResultStatus.PASSED) -> LatestResult:
    return LatestResult(kind, None, kind, "", digest, status, NOW, UUID(int=9), 1)


SUBJECT = Subject(
    flow_id=UUID(int=8),
    flow_name="shop",
    trail=TRAIL,
    attestations=[result("trivy", DIGEST), result("build"), result("trivy", OTHER, ResultStatus.FAILED)],
    approval=Standing.GRANTED,
    digest=DIGEST,
    artifact_name="app",
    artifact_version="1.0",
    provenance=ProvenanceStatus.PROVENANCE_VERIFIED,
    environment="production",
)


def test_the_input_has_what_is_known_of_the_artifact() -> None:
    made = opa_input(SUBJECT)
    assert made["attestations"] == [
        {"type": "build", "name": None, "status": "PASSED", "artifactDigest": None},
        {"type": "trivy", "name": None, "status": "PASSED", "artifactDigest": DIGEST},
    ]
    assert (made["approvalStatus"], made["environment"]) == ("APPROVED", "production")
    assert made["flow"] == {"id": UUID(int=8), "name": "shop"}
    assert (made["trail"]["status"], made["trail"]["repository"]) == ("PENDING", "acme/app")
    assert "criticalVulnerabilities" not in made


def test_the_input_is_the_same_in_any_order() -> None:
    turned = replace(SUBJECT, attestations=SUBJECT.attestations[::-1])
    assert canonical_json(opa_input(turned)) == canonical_json(opa_input(SUBJECT))


def test_of_a_trail_everything_counts() -> None:
    made = opa_input(replace(SUBJECT, digest=None, artifact_name=None, approval=Standing.REJECTED))
    assert [one["type"] for one in made["attestations"]] == ["build", "trivy", "trivy"]
    assert (made["approvalStatus"], made["artifactDigest"]) == ("REJECTED", None)


def test_scans_are_added_up() -> None:
    made = opa_input(replace(SUBJECT, scans=[ScanCounts("trivy", 1, 2, 3, 4), ScanCounts("snyk", 10, 0, 0, 0)]))
    assert (made["criticalVulnerabilities"], made["lowVulnerabilities"]) == (11, 4)
    assert [one["tool"] for one in made["securityScans"]] == ["snyk", "trivy"]
