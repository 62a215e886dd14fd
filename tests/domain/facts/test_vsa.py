"""Verdicts as verification summaries: exactly what is signed, for both kinds, and what a reader may demand."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.canonical import canonical_json
from domain.errors import Rejected
from domain.facts.provenance import CheckStatus, SlsaLevel
from domain.facts.summaries import Expected, Summary
from domain.facts.verdicts import Verdict
from domain.facts.vsa import MAX_INPUTS, PASSED, UNEVALUATED, ProvenanceThen, build_level, statement
from tests.domain.facts.evidence import DIGEST, NOON, OTHER

ADDRESS = "https://trailgate.example.com"
API = f"{ADDRESS}/api/v1"
ORGANISATION, FLOW, TRAIL, ENVIRONMENT, VERDICT = (UUID(int=n) for n in range(1, 6))
RESULT = {"attestationId": str(UUID(int=9)), "result": 1, "identity": "unit", "status": "PASSED"}
ASSERTED = Verdict(
    id=VERDICT,
    org_id=ORGANISATION,
    kind="assert",
    flow_id=FLOW,
    trail_id=TRAIL,
    environment_id=None,
    digest=DIGEST,
    outcome="COMPLIANT",
    inputs={
        "flowId": str(FLOW),
        "flowVersion": 3,
        "digest": DIGEST,
        "basis": "flow template",
        "trailId": str(TRAIL),
        "artifactId": str(UUID(int=8)),
        "artifactName": "app",
        "results": [RESULT],
    },
    result={},
    created_at=NOON,
)
POLICIES = [{"id": str(UUID(int=7)), "version": 2, "name": "production", "flows": None}]
GATED = replace(
    ASSERTED,
    kind="gate",
    environment_id=ENVIRONMENT,
    outcome="ALLOWED",
    inputs={"policies": POLICIES, "default": "ALLOWED", "reports": [ASSERTED.inputs]},
)


def sha256(value: Any) -> dict[str, str]:
    return {"sha256": hashlib.sha256(canonical_json(value)).hexdigest()}


def test_the_statement_of_an_assertion() -> None:
    policy = {"basis": "flow template", "flowId": str(FLOW), "flowVersion": 3}
    assert json.loads(canonical_json(statement(ASSERTED, ADDRESS, UNEVALUATED))) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": {
            "verifier": {"id": f"{API}/organisations/{ORGANISATION}"},
            "timeVerified": "2026-01-31T12:00:00.000000Z",
            "resourceUri": f"{API}/flows/{FLOW}",
            "policy": {
                "uri": f"{API}/flows/{FLOW}",
                "mediaType": "application/json",
                "content": base64.b64encode(canonical_json(policy)).decode(),
                "digest": sha256(policy),
            },
            "inputAttestations": [
                {"uri": f"{API}/trails/{TRAIL}/attestations/{UUID(int=9)}", "digest": sha256(RESULT)}
            ],
            "verificationResult": "PASSED",
            "verifiedLevels": ["SLSA_BUILD_LEVEL_UNEVALUATED"],
            "slsaVersion": "1.1",
            f"{API}/verdicts": str(VERDICT),
        },
    }


def test_the_statement_of_a_gate_decision() -> None:
    """What differs: it is for the environment, and its policy is the list of policies that were evaluated."""
    asserted, gated = (statement(one, ADDRESS, "SLSA_BUILD_LEVEL_1") for one in (ASSERTED, GATED))
    predicate = gated["predicate"]
    assert predicate["resourceUri"] == predicate["policy"]["uri"] == f"{API}/environments/{ENVIRONMENT}"
    policy = json.loads(base64.b64decode(predicate["policy"]["content"]))
    assert policy == {"policies": POLICIES, "default": "ALLOWED", "environmentId": str(ENVIRONMENT)}
    assert predicate["policy"]["digest"] == sha256(policy)
    same = ("verifier", "timeVerified", "inputAttestations", "verificationResult", "verifiedLevels")
    assert [predicate[name] for name in same] == [asserted["predicate"][name] for name in same]
    assert predicate["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1"]


def test_the_bytes_that_are_signed_never_change() -> None:
    """Whoever changes them on purpose must know that summaries of old verdicts change as well."""
    signed = [canonical_json(statement(one, ADDRESS, UNEVALUATED)) for one in (ASSERTED, GATED)]
    assert [hashlib.sha256(one).hexdigest()[:16] for one in signed] == ["c0439fd6d2ebd87f", "81dd42266c780c25"]


@pytest.mark.parametrize("outcome", ["NON_COMPLIANT", "BLOCKED", "something new"])
def test_whatever_is_not_positive_has_failed(outcome: str) -> None:
    predicate = statement(replace(GATED, outcome=outcome), ADDRESS, "SLSA_BUILD_LEVEL_3")["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])


def test_a_trails_own_template_is_named_by_the_trail() -> None:
    own = replace(ASSERTED, inputs={**ASSERTED.inputs, "basis": "trail template"})
    policy = statement(own, ADDRESS, UNEVALUATED)["predicate"]["policy"]
    assert json.loads(base64.b64decode(policy["content"]))["trailId"] == str(TRAIL)


@pytest.mark.parametrize(
    ("address", "base"),
    [("HTTPS://Trailgate.Example.com", ADDRESS), ("https://Example.com/Base", "https://example.com/Base")],
)
def test_uris_are_normalised_as_in_toto_demands(address: str, base: str) -> None:
    resource = statement(ASSERTED, address, UNEVALUATED)["predicate"]["resourceUri"]
    assert resource == f"{base}/api/v1/flows/{FLOW}"


def test_an_unknown_artifact_has_neither_name_nor_inputs() -> None:
    bare = replace(ASSERTED, flow_id=None, trail_id=None, inputs={}, outcome="NON_COMPLIANT")
    made = statement(bare, ADDRESS, UNEVALUATED)
    assert made["subject"][0]["name"] == "_"
    assert made["predicate"]["inputAttestations"] == []
    assert made["predicate"]["resourceUri"] == made["predicate"]["verifier"]["id"]


@pytest.mark.parametrize(("number", "listed"), [(MAX_INPUTS, True), (MAX_INPUTS + 1, False)])
def test_inputs_are_listed_all_or_not_at_all(number: int, listed: bool) -> None:
    many = replace(ASSERTED, inputs={**ASSERTED.inputs, "results": [RESULT] * number})
    assert ("inputAttestations" in statement(many, ADDRESS, UNEVALUATED)["predicate"]) is listed


@pytest.mark.parametrize("digest", ["latest", "sha512:" + "ab" * 64, "sha256:" + "ab" * 31])
def test_only_a_sha256_can_be_a_subject(digest: str) -> None:
    with pytest.raises(Rejected, match="only a SHA-256"):
        statement(replace(ASSERTED, digest=digest), ADDRESS, UNEVALUATED)


@pytest.mark.parametrize(
    ("claimed", "status", "predicate_type", "verified"),
    [
        ("L3", "VERIFIED", None, "SLSA_BUILD_LEVEL_3"),
        ("L3", "VERIFIED", "https://slsa.dev/provenance/v1", "SLSA_BUILD_LEVEL_1"),
        ("L1", "VERIFIED", "https://slsa.dev/provenance/v1", "SLSA_BUILD_LEVEL_1"),
        ("L0", "VERIFIED", None, UNEVALUATED),
        ("L3", "UNVERIFIED", None, UNEVALUATED),
    ],
)
def test_a_level_is_never_more_than_what_was_verified(
    claimed: str, status: str, predicate_type: str | None, verified: str
) -> None:
    then = ProvenanceThen(UUID(int=1), UUID(int=2), SlsaLevel(claimed), CheckStatus(status), predicate_type)
    assert build_level(then) == verified


def test_without_provenance_no_level_is_claimed() -> None:
    assert build_level(None) == UNEVALUATED


SUMMARY = Summary(
    digests=frozenset({DIGEST}),
    verifier=f"{API}/organisations/{ORGANISATION}",
    resource=f"{API}/environments/{ENVIRONMENT}",
    policies=frozenset({"production"}),
    result=PASSED,
    levels=("SLSA_BUILD_LEVEL_2",),
    verified_at=NOON,
    verdict=str(VERDICT),
)
ACCEPTED = Expected(
    digest="AB" * 32,
    verifier=f"{API}/organisations/{ORGANISATION}",
    resource=f"{API}/environments/{ENVIRONMENT}",
    environment=str(ENVIRONMENT),
    policy="production",
    level=2,
    max_age=timedelta(hours=1),
)


@pytest.mark.parametrize("expected", [ACCEPTED, Expected()])
def test_what_says_everything_that_is_demanded_is_accepted(expected: Expected) -> None:
    assert expected.refusals(SUMMARY, NOON + timedelta(hours=1)) == []


@pytest.mark.parametrize(
    ("demanded", "found", "reason"),
    [
        ({}, {"result": "FAILED"}, f"the verdict is FAILED, not PASSED; /api/v1/verdicts/{VERDICT} has the reasons"),
        ({}, {"result": "passed", "verdict": None}, "the verdict is passed, not PASSED"),
        ({"digest": OTHER}, {}, f"it is about {DIGEST}, not about {OTHER}"),
        ({"digest": DIGEST}, {"digests": frozenset()}, f"it is about , not about {DIGEST}"),
        ({"verifier": "https://a"}, {}, f"its verifier is {SUMMARY.verifier}, not https://a"),
        ({"resource": "https://a"}, {}, f"its resource is {SUMMARY.resource}, not https://a"),
        ({"environment": "production"}, {}, f"it is for {SUMMARY.resource}, not for the environment production"),
        ({"environment": ""}, {}, f"it is for {SUMMARY.resource}, not for the environment "),
        ({"flow": str(ENVIRONMENT)}, {}, f"it is for {SUMMARY.resource}, not for the flow {ENVIRONMENT}"),
        ({"policy": "staging"}, {}, "it does not name the policy staging"),
        ({"level": 3}, {}, "it verifies SLSA_BUILD_LEVEL_2, not SLSA_BUILD_LEVEL_3"),
        ({"max_age": timedelta(minutes=59)}, {}, "it is too old: 2026-01-31T12:00:00+00:00"),
        ({"max_age": timedelta(days=1)}, {"verified_at": None}, "it does not say when the verdict was given"),
        (
            {"max_age": timedelta(days=1)},
            {"verified_at": NOON + timedelta(hours=2)},
            "it is from the future: 2026-01-31T14:00:00+00:00",
        ),
    ],
)
def test_what_does_not_is_refused_with_the_reason(demanded: dict[str, Any], found: dict[str, Any], reason: str) -> None:
    assert Expected(**demanded).refusals(replace(SUMMARY, **found), NOON + timedelta(hours=1)) == [reason]
