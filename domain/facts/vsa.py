"""Verdicts as Verification Summary Attestations (SLSA VSA v1 in an in-toto Statement v1), which are valid anywhere.

A statement is a function of the sealed verdict, of the address of this installation, and of the build level that was
verified when the verdict was given: the same verdict always yields the same bytes.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.canonical import canonical_json
from domain.errors import Rejected
from domain.facts.digests import SHA256
from domain.facts.provenance import CheckStatus, SlsaLevel
from domain.facts.verdicts import Basis, Verdict, VerdictKind, results_among

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
SLSA_VERSION = "1.1"
PASSED, FAILED = "PASSED", "FAILED"
UNEVALUATED = "SLSA_BUILD_LEVEL_UNEVALUATED"
LEVEL = "SLSA_BUILD_LEVEL_"
VERDICTS = "/api/v1/verdicts"
"""The end of the name of the extension field that holds the id of the verdict; a name has to be a URI."""

MAX_INPUTS = 1000
"""Input attestations that a statement lists: all or, as the specification demands, none."""

_POSITIVE = frozenset({"COMPLIANT", "ALLOWED"})
_POLICY_INPUTS = ("basis", "flowId", "flowVersion", "policies", "default")


@dataclass(frozen=True, slots=True)
class ProvenanceThen:
    """The provenance of the artifact of a verdict, with its newest check, as it was when the verdict was given."""

    id: UUID
    check_id: UUID
    slsa_level: SlsaLevel
    status: CheckStatus
    predicate_type: str | None


def build_level(provenance: ProvenanceThen | None) -> str:
    """Return the SLSA build level that was verified, never more.

    A detached signature covers the claimed level. The statement in an envelope does not name a level: that it is
    verified proves level 1, that provenance exists.
    """
    if provenance is None or provenance.status is not CheckStatus.VERIFIED or provenance.slsa_level is SlsaLevel.L0:
        return UNEVALUATED
    proven = SlsaLevel.L1 if provenance.predicate_type else provenance.slsa_level
    return LEVEL + proven.removeprefix("L")


def reports_of(verdict: Verdict) -> Sequence[Mapping[str, Any]]:
    """Return what a verdict is based on by report of the artifact, the newest first: of a gate, one of each flow."""
    reports = verdict.inputs["reports"] if verdict.kind == VerdictKind.GATE else [verdict.inputs]
    return [report for report in reports if report.get("artifactId")]


def statement(verdict: Verdict, address: str, level: str) -> dict[str, Any]:
    """Return the statement about a verdict, whose canonical JSON is to be signed.

    `address` is the public address of this installation, `level` what `build_level` returned. Raises Rejected for a
    verdict about something that is not named by a SHA-256.
    """
    address = _normal(address)
    api, reports = f"{address}/api/v1", reports_of(verdict)
    name = (reports[0]["artifactName"] if reports else None) or "_"
    passed = verdict.outcome in _POSITIVE
    resource = _resource(verdict, api)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _sha256(verdict)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "verifier": {"id": _verifier(verdict, api)},
            "timeVerified": verdict.created_at,
            "resourceUri": resource,
            "policy": {"uri": resource, "mediaType": "application/json", **_content(_policy(verdict))},
            **_input_attestations(verdict, api),
            "verificationResult": PASSED if passed else FAILED,
            "verifiedLevels": [level if passed else FAILED],
            "slsaVersion": SLSA_VERSION,
            f"{address}{VERDICTS}": str(verdict.id),
        },
    }


def _normal(address: str) -> str:
    """Write scheme and host in lower case, as URIs in statements have to be."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{separator}{host.lower()}{slash}{path}"


def _sha256(verdict: Verdict) -> str:
    if not SHA256.fullmatch(verdict.digest):
        raise Rejected(f"The verdict is about {verdict.digest!r}: only a SHA-256 can be the subject of an attestation.")
    return verdict.digest.removeprefix("sha256:")


def _verifier(verdict: Verdict, api: str) -> str:
    """Name the organisation: all organisations of an installation share its key, and each makes its own rules."""
    return f"{api}/organisations/{verdict.org_id}"


def _resource(verdict: Verdict, api: str) -> str:
    """Name what the artifact was judged for: the environment of a gate, otherwise the flow."""
    if verdict.environment_id:
        return f"{api}/environments/{verdict.environment_id}"
    return f"{api}/flows/{verdict.flow_id}" if verdict.flow_id else _verifier(verdict, api)


def _policy(verdict: Verdict) -> dict[str, Any]:
    """Return which requirements applied: the version of the flow, or the policies with their hashes."""
    inputs = verdict.inputs
    named = {name: inputs[name] for name in _POLICY_INPUTS if inputs.get(name) is not None}
    if inputs.get("basis") == Basis.TRAIL_TEMPLATE:
        named["trailId"] = inputs.get("trailId")
    if verdict.environment_id:
        named["environmentId"] = str(verdict.environment_id)
    return named


def _content(document: Mapping[str, Any]) -> dict[str, Any]:
    text = canonical_json(document)
    return {"content": base64.b64encode(text).decode(), "digest": _digest_of(text)}


def _input_attestations(verdict: Verdict, api: str) -> dict[str, Any]:
    """Return every result that was looked at, with the SHA-256 of its entry in the verdict's inputs."""
    results = [(report["trailId"], one) for report in reports_of(verdict) for one in results_among(report)]
    return {"inputAttestations": [_input(*one, api) for one in results]} if len(results) <= MAX_INPUTS else {}


def _input(trail_id: str, result: Mapping[str, Any], api: str) -> dict[str, Any]:
    uri = f"{api}/trails/{trail_id}/attestations/{result['attestationId']}"
    return {"digest": _digest_of(canonical_json(result)), "uri": uri}


def _digest_of(data: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(data).hexdigest()}
