"""OPA: bundles of Rego modules, what they are asked, and what their answers mean for a decision."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.audit.records import VERSION, RecordForm
from domain.facts.approvals import Standing
from domain.facts.artifacts import ProvenanceStatus
from domain.facts.evaluation import LatestResult
from domain.facts.trails import Trail
from domain.gates.rego import ALLOW, DENY, Rule, Source
from domain.identity.permissions import Permission

MAX_REASONS = 100
MAX_REASON = 1000
"""Reasons that are kept of one decision, and characters of each."""

OPA_BUNDLE = RecordForm(
    kind="opa_bundle",
    format=1,
    columns=(
        "id",
        "org_id",
        "name",
        "bundle_version",
        "modules",
        "data",
        "rules",
        "sha256",
        "activated_at",
        "created_by",
        "version",
        "created_at",
        "archived_at",
    ),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)

OPA_DECISION = RecordForm(
    kind="opa_decision",
    format=1,
    columns=(
        "id",
        "org_id",
        "bundle_id",
        "bundle_name",
        "bundle_version",
        "bundle_sha256",
        "input",
        "input_digest",
        "allow",
        "reasons",
        "evaluated_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)


@dataclass(frozen=True, slots=True)
class NewBundle:
    """A compiled bundle to be kept. `rules` are those that decide."""

    name: str
    bundle_version: str
    source: Source
    rules: tuple[Rule, ...]


class BundleStatus(StrEnum):
    """Whether a bundle is the one of its name that decides."""

    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A kept bundle. `bundle_version` is the version that its sender gave it, `version` counts its changes."""

    id: UUID
    org_id: UUID
    name: str
    bundle_version: str
    source: Source
    rules: tuple[Rule, ...]
    sha256: str
    activated_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def status(self) -> BundleStatus:
        """Whether it decides."""
        return BundleStatus.INACTIVE if self.activated_at is None else BundleStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class OpaOutcome:
    """What a bundle says about an input, which is kept as canonical JSON."""

    bundle_id: UUID
    name: str
    version: str
    sha256: str
    input: str
    input_digest: str
    allow: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpaDecision:
    """A kept outcome."""

    id: UUID
    org_id: UUID
    bundle_id: UUID
    bundle_name: str
    bundle_version: str
    bundle_sha256: str
    input: str
    input_digest: str
    allow: bool
    reasons: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The values of the rules that have one. `failure` says why there are none, if the evaluation failed."""

    values: Mapping[Rule, Any] = field(default_factory=dict)
    failure: str | None = None


def outcome_of(bundle: Bundle, text: str, evaluation: Evaluation) -> OpaOutcome:
    """Decide from the values of a bundle's rules for an input in canonical JSON. Whatever is in doubt is not allowed.

    No `deny` may have any entry, and every `allow` must be true. Without a `deny` that says why, the reason is the
    `allow` that is not true.
    """
    reasons = _reasons(bundle, evaluation)
    return OpaOutcome(
        bundle_id=bundle.id,
        name=bundle.name,
        version=bundle.bundle_version,
        sha256=bundle.sha256,
        input=text,
        input_digest=hashlib.sha256(text.encode()).hexdigest(),
        allow=not reasons,
        reasons=_bounded(reasons),
    )


def _reasons(bundle: Bundle, evaluation: Evaluation) -> list[str]:
    label = f"the policy bundle {bundle.name} {bundle.bundle_version}"
    if evaluation.failure is not None:
        return [f"{evaluation.failure} ({label})"]
    if not bundle.rules:
        return [f"No rule decides in {label}"]
    denied = [
        reason
        for rule in bundle.rules
        if rule.name == DENY
        for reason in _denials(rule, evaluation.values.get(rule, False))
    ]
    return denied or [
        f"{rule} is not true in {label}"
        for rule in bundle.rules
        if rule.name == ALLOW and evaluation.values.get(rule) is not True
    ]


def _denials(rule: Rule, value: Any) -> list[str]:
    """Return what a `deny` says: the members of a set, the entries of an object, or itself."""
    if value is False:
        return []
    if value is True:
        return [f"{rule} is true"]
    if isinstance(value, list):
        return [_text(one) for one in value]
    if isinstance(value, dict):
        return [key if one is True else f"{key}: {_text(one)}" for key, one in value.items()]
    return [_text(value)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _bounded(reasons: Sequence[str]) -> tuple[str, ...]:
    shown = [one.replace("\0", "\N{REPLACEMENT CHARACTER}") for one in reasons[:MAX_REASONS]]
    shown = [one if len(one) <= MAX_REASON else f"{one[:MAX_REASON]}…" for one in shown]
    more = len(reasons) - len(shown)
    return (*shown, f"and {more} more reasons") if more else tuple(shown)


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """The vulnerabilities that a security scan of the trail found."""

    tool: str
    critical: int
    high: int
    medium: int
    low: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a policy is asked about: an artifact, or a trail as a whole if there is no `digest`.

    `attestations` are the latest results of the trail. `approval` is the standing of its approval for this artifact and
    environment.
    """

    flow_id: UUID
    flow_name: str
    trail: Trail
    attestations: Sequence[LatestResult]
    approval: Standing
    digest: str | None = None
    artifact_name: str | None = None
    artifact_version: str | None = None
    provenance: ProvenanceStatus | None = None
    environment: str | None = None
    scans: Sequence[ScanCounts] = ()


APPROVAL_STATUSES = {Standing.GRANTED: "APPROVED", Standing.REJECTED: "REJECTED", Standing.MISSING: "NONE"}


def opa_input(subject: Subject) -> dict[str, Any]:
    """Return the input of a policy for stored facts; docs/opa.md tells users what each name holds.

    Attestations about other artifacts of the trail are left out. They are sorted, so that equal facts are equal inputs.
    """
    latest = [one for one in subject.attestations if not subject.digest or one.digest in ("", subject.digest)]
    return {
        "artifactName": subject.artifact_name,
        "artifactVersion": subject.artifact_version,
        "artifactDigest": subject.digest,
        "environment": subject.environment,
        "approvalStatus": APPROVAL_STATUSES[subject.approval],
        "provenanceStatus": subject.provenance,
        "attestations": [
            {"type": one.type, "name": one.name, "status": one.status, "artifactDigest": one.digest or None}
            for one in sorted(latest, key=lambda one: (one.type, one.label, one.identity))
        ],
        "flow": {"id": subject.flow_id, "name": subject.flow_name},
        "trail": _trail(subject.trail),
        **_counts(subject.scans),
    }


def _trail(trail: Trail) -> dict[str, Any]:
    return {
        "id": trail.id,
        "name": trail.name,
        "status": trail.status,
        "commit": trail.git_commit_sha,
        "branch": trail.git_branch,
        "author": trail.git_author,
        "repository": trail.git_repository,
    }


def _counts(scans: Sequence[ScanCounts]) -> dict[str, Any]:
    """Return the scans and their sums; nothing without a scan, which is not the same as one without findings."""
    if not scans:
        return {}
    severities = ("critical", "high", "medium", "low")
    each = [{"tool": one.tool, **{name: getattr(one, name) for name in severities}} for one in scans]
    sums = {f"{name}Vulnerabilities": sum(getattr(one, name) for one in scans) for name in severities}
    return {"securityScans": sorted(each, key=lambda one: str(one["tool"])), **sums}
