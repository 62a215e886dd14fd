"""Security scans: what a scanner found, judged by the thresholds of its flow, and the attestations that say so."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.facts.attestation_names import SENT
from domain.facts.attestations import NewAttestation, Origin, ResultStatus
from domain.gates.security_thresholds import UNSET, FlowThresholds, Thresholds

SCAN_ATTESTATION = "SECURITY_SCAN"
"""The type of a scan's attestation, unless the scan asks for another one."""
NOT_PASSED = "The scan was reported as not passed."


class ScanType(StrEnum):
    """How a scanner looks for vulnerabilities."""

    DAST = "DAST"
    SAST = "SAST"
    SCA = "SCA"
    CONTAINER = "CONTAINER"


@dataclass(frozen=True, slots=True)
class Counts:
    """Findings by severity. No threshold limits the informational ones."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    informational: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {severity}" for severity, count in asdict(self).items())


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The report that a scan was read from. `doubt` says why it proves nothing, None if it does."""

    format: str
    name: str
    sha256: str
    size: int
    doubt: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is stored with the scan."""
        return {"format": self.format, "name": self.name, "sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, slots=True)
class NewScan:
    """A scan to record.

    `target` is what was scanned, `digest` the artifact that this is about. `attestation_type` and `attestation_name`
    say what the scan is attested as. `passed` False fails it whatever it found; True does not make it pass.
    `source_ref` is what a scan that Trailgate ran itself is called there.
    """

    trail_id: UUID
    tool: str
    counts: Counts
    tool_version: str | None = None
    scan_type: ScanType | None = None
    target: str | None = None
    digest: str | None = None
    duration_seconds: int | None = None
    report_url: str | None = None
    attestation_type: str = SCAN_ATTESTATION
    attestation_name: str | None = None
    passed: bool | None = None
    report: ScanReport | None = None
    source_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a scan passes, and by what: `source` are the thresholds of the flow, None if it has none.

    `breaches` has one text for each severity with too many findings, `reason` what else is wrong with the scan.
    """

    thresholds: Thresholds
    source: FlowThresholds | None
    breaches: tuple[str, ...]
    reason: str | None

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong with the scan."""
        return not self.breaches and self.reason is None


@dataclass(frozen=True, slots=True)
class SecurityScan:
    """A recorded scan with its judgement, which later thresholds do not change."""

    id: UUID
    org_id: UUID
    trail_id: UUID
    flow_id: UUID
    attestation_id: UUID
    tool: str
    tool_version: str | None
    scan_type: ScanType | None
    target: str | None
    digest: str | None
    critical: int
    high: int
    medium: int
    low: int
    informational: int
    duration_seconds: int | None
    report_url: str | None
    report: Mapping[str, Any] | None
    thresholds: Mapping[str, int]
    threshold_id: UUID | None
    threshold_version: int | None
    passed: bool
    breach_details: Sequence[str]
    reason: str | None
    source_ref: str | None
    created_at: datetime


def judge(new: NewScan, source: FlowThresholds | None) -> Judgement:
    """Judge a scan by the thresholds of its flow, or by those that hold without any."""
    thresholds = source.thresholds if source else UNSET
    breaches = tuple(thresholds.breaches(asdict(new.counts)))
    doubt = new.report.doubt if new.report else None
    reasons = [reason for reason in (NOT_PASSED if new.passed is False else None, doubt) if reason]
    return Judgement(thresholds, source, breaches, " ".join(reasons) or None)


def attestations_of(new: NewScan, judgement: Judgement, actor: Actor) -> list[NewAttestation]:
    """Return the attestations of a scan: the one that was asked for, and one whose type is the tool.

    Either satisfies a requirement of its type. They fail together, so only the first raises a notice. The next scan of
    the same kind, by the same tool of the same target and for the same attestation, takes their place.
    """
    types = dict.fromkeys((new.attestation_type, new.tool))
    return [
        NewAttestation(
            trail_id=new.trail_id,
            type=type_,
            status=ResultStatus.of(passed=judgement.passed),
            actor=actor,
            origin=Origin.API,
            name=None if n else new.attestation_name or new.tool,
            identity=_identity(new, type_),
            digest=new.digest,
            details=_details(new, judgement),
            evidence_url=new.report_url,
            is_noticed=not n,
        )
        for n, type_ in enumerate(types)
    ]


def _identity(new: NewScan, type_: str) -> str:
    """Return what tells the scan apart. It is hashed, as an index holds it."""
    parts = [new.tool, new.scan_type, new.target, new.attestation_type, new.attestation_name, type_]
    return f"{SENT}scan {new.tool} {sha256(json.dumps(parts).encode()).hexdigest()}"


def _details(new: NewScan, judgement: Judgement) -> str:
    subject = f"{new.tool} of {new.target}" if new.target else new.tool
    wrong = [*judgement.breaches, *([judgement.reason] if judgement.reason else [])]
    return f"{subject}: {new.counts}" + (f". {'; '.join(wrong)}" if wrong else "")
