"""Request and response models of security scans."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, Self
from uuid import UUID

from pydantic import AfterValidator, Field, Json, StringConstraints
from pydantic.alias_generators import to_camel

from api.gates.schemas.security_thresholds import SecurityMaximaOut
from api.http.calls import Call, Upload
from api.http.digests import Sha256
from api.http.paging import ListQuery
from api.http.synonyms import agreed
from api.http.texts import Flag, Name, Short
from api.http.transport.uploads import UNNAMED
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.errors import FieldError, Invalid, Rejected
from domain.facts.attestation_names import checked_name
from domain.facts.attestations import TOKEN_NEEDED, needs_token
from domain.gates.security_scans import SCAN_ATTESTATION, Counts, NewScan, ScanReport, ScanType, SecurityScan
from domain.gates.security_thresholds import UNLIMITED
from integrations.formats.parsed import ParsedEvidence
from integrations.formats.scan_reports import counts_of, format_of

MAX_DOUBT = 1000
"""Characters of what is doubtful about a report."""

Count = Annotated[int, Field(strict=True, ge=0, le=UNLIMITED)]
_COUNTED = {
    "critical": ("critical_vulnerabilities", "critical_count"),
    "high": ("high_vulnerabilities", "high_count"),
    "medium": ("medium_vulnerabilities", "medium_count"),
    "low": ("low_vulnerabilities", "low_count"),
    "informational": ("informational",),
}
"""The fields of each severity, beside its member of `summary`."""


def _claimable(attestation_type: str) -> str:
    if needs_token(attestation_type):
        raise ValueError(TOKEN_NEEDED)
    return attestation_type


Tool = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=r"\S"),
    AfterValidator(checked_name),
    AfterValidator(_claimable),
]
Version = Annotated[str, StringConstraints(max_length=50)]
Place = Annotated[str, StringConstraints(max_length=500)]
Type = Annotated[Name, AfterValidator(_claimable)]
AttestationName = Annotated[Name, AfterValidator(checked_name)]


class Stated(NamedTuple):
    """A number of findings, and the field that states it."""

    field: str
    number: int


class CountsIn(WireIn):
    """Counts by severity. An unknown name is refused: findings of a misspelt severity would not count."""

    model_config = {"extra": "forbid"}

    critical: Count | None = None
    high: Count | None = None
    medium: Count | None = None
    low: Count | None = None
    informational: Count | None = None


class SecurityScanIn(WireIn):
    """What a scanner found.

    A count that is not given is 0, or what the `report` says: SARIF, or the JSON of Snyk or Trivy. A count that differs
    from the report is refused. `version` is another name of `toolVersion`, `criticalCount` and its like and the members
    of `summary` of the counts, and `artifactSha256` of `artifactFingerprint`. With `passed` false the scan fails
    whatever it found. An unknown name is refused: it may be a misspelt count, without which the scan would pass.
    """

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {
            "examples": [
                {
                    "tool": "trivy",
                    "toolVersion": "0.66.0",
                    "scanType": "CONTAINER",
                    "target": "registry.example.com/shop:1.4",
                    "highVulnerabilities": 0,
                    "mediumVulnerabilities": 3,
                }
            ]
        },
    }

    tool: Tool
    tool_version: Version | None = None
    version: Version | None = None
    scan_type: ScanType | None = None
    target: Place | None = None
    critical_vulnerabilities: Count | None = None
    high_vulnerabilities: Count | None = None
    medium_vulnerabilities: Count | None = None
    low_vulnerabilities: Count | None = None
    informational: Count | None = None
    critical_count: Count | None = None
    high_count: Count | None = None
    medium_count: Count | None = None
    low_count: Count | None = None
    summary: CountsIn | None = None
    passed: Flag | None = None
    scan_duration_seconds: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)] | None = None
    report_url: Place | None = None
    report: Annotated[
        dict[str, Any] | list[dict[str, Any]] | None,
        Field(description="The scanner's report, which is kept as evidence"),
    ] = None
    attestation_type: Annotated[Type, Field(description="The type of the attestation")] = SCAN_ATTESTATION
    attestation_name: Annotated[
        AttestationName | None, Field(description="The name of the attestation; the tool unless given")
    ] = None
    artifact_fingerprint: Sha256 | None = None
    artifact_sha256: Sha256 | None = None
    org_slug: Short | None = None

    def to_command(self, trail_id: UUID, report: ScanReport | None, found: Counts | None) -> NewScan:
        """Return the scan, with what its report says if there is one.

        Raises Invalid for a value that is given twice and differs, Rejected for a count that is not the report's.
        """
        stated = self._stated()
        if found is not None:
            _check(stated, found)
        return NewScan(
            trail_id=trail_id,
            tool=self.tool,
            counts=found or Counts(**{severity: one.number for severity, one in stated.items()}),
            tool_version=agreed(self, "tool_version", "version"),
            scan_type=self.scan_type,
            target=self.target,
            digest=agreed(self, "artifact_fingerprint", "artifact_sha256"),
            duration_seconds=self.scan_duration_seconds,
            report_url=self.report_url,
            attestation_type=self.attestation_type,
            attestation_name=self.attestation_name,
            passed=self.passed,
            report=report,
        )

    def _stated(self) -> dict[str, Stated]:
        """Return the counts that are given, by severity."""
        found: dict[str, Stated] = {}
        for severity, names in _COUNTED.items():
            given = {to_camel(name): getattr(self, name) for name in names}
            given[f"summary.{severity}"] = getattr(self.summary, severity, None)
            for field, count in given.items():
                first = found.setdefault(severity, Stated(field, count)) if count is not None else None
                if first and first.number != count:
                    raise Invalid.of(field, f"differs from {first.field}; give one of them")
        return found


def _check(stated: Mapping[str, Stated], found: Counts) -> None:
    wrong = [
        FieldError(field, f"is {number}, but the report has {getattr(found, severity)}")
        for severity, (field, number) in stated.items()
        if number != getattr(found, severity)
    ]
    if wrong:
        raise Rejected("; ".join(f"{one.field}: {one.message}" for one in wrong), wrong)


class SecurityScanForm(WireIn):
    """A scan with its report as a file. The scan is the part `scan`, as JSON, or the other fields.

    An unknown name is refused. Counts and whatever else is no part of its own are given in `scan`.
    """

    model_config = {"extra": "forbid"}

    file: Upload
    scan: Json[SecurityScanIn] | None = None
    tool: Tool | None = None
    tool_version: Version | None = None
    scan_type: ScanType | None = None
    target: Place | None = None
    attestation_type: Type | None = None
    attestation_name: AttestationName | None = None
    artifact_fingerprint: Sha256 | None = None

    def to_scan(self) -> SecurityScanIn:
        """Return the scan. Raises Invalid without a tool, with two reports, and for fields beside `scan`."""
        fields = {
            name: value
            for name in type(self).model_fields
            if name not in {"file", "scan"} and (value := getattr(self, name)) is not None
        }
        if self.scan is None:
            if self.tool is None:
                raise Invalid.of("tool", "Field required")
            return SecurityScanIn(**fields)
        if fields:
            raise Invalid.of(to_camel(min(fields)), "is to be given in scan")
        if self.scan.report is not None:
            raise Invalid.of("scan.report", "the report is the file already; give one of them")
        return self.scan


def report_of(parsed: ParsedEvidence, file: Upload, field: str) -> tuple[ScanReport, Counts]:
    """Return a report that was read, and its findings. Raises Rejected, naming the field, if it cannot be read."""
    if error := parsed.details.get("error"):
        raise Rejected(f"{field}: {error}", [FieldError(field, str(error))])
    doubt = parsed.doubt[:MAX_DOUBT] if parsed.doubt else None
    return ScanReport(format_of(parsed), file.file_name or UNNAMED, file.sha256, file.size, doubt), counts_of(parsed)


class ThresholdSource(StrEnum):
    """Whose thresholds judged a scan."""

    DEFAULT = "DEFAULT"
    FLOW = "FLOW"


class ScanReportOut(WireModel):
    """The report of a scan, kept as evidence of its attestation."""

    format: str
    file_name: str
    sha256_hash: str
    file_size_bytes: int


class SecurityScanOut(WireModel):
    """A recorded scan.

    `thresholdBreached`, `breachDetails` and `passed` were found when it was recorded, by the `thresholds` shown here:
    those of the flow in this version, or the DEFAULT ones. `failureReason` says what else is wrong with the scan.
    """

    id: UUID
    trail_id: UUID
    flow_id: UUID
    attestation_id: UUID
    tool: str
    tool_version: str | None
    scan_type: ScanType | None
    target: str | None
    artifact_fingerprint: str | None = shows("digest")
    critical_vulnerabilities: int = shows("critical")
    high_vulnerabilities: int = shows("high")
    medium_vulnerabilities: int = shows("medium")
    low_vulnerabilities: int = shows("low")
    informational: int
    scan_duration_seconds: int | None = shows("duration_seconds")
    report_url: str | None
    report: ScanReportOut | None
    passed: bool
    threshold_breached: bool
    breach_details: Sequence[str]
    failure_reason: str | None = shows("reason")
    thresholds: SecurityMaximaOut
    threshold_source: ThresholdSource
    threshold_version: int | None
    source_ref: str | None
    org_slug: str
    created_at: Instant

    @classmethod
    def of(cls, scan: SecurityScan, call: Call) -> Self:
        """Return the scan with the slug of its organisation."""
        return cls.filled(
            scan,
            report=_report(scan.report) if scan.report else None,
            threshold_breached=bool(scan.breach_details),
            thresholds=SecurityMaximaOut(**scan.thresholds),
            threshold_source=ThresholdSource.FLOW if scan.threshold_id else ThresholdSource.DEFAULT,
            org_slug=call.tenant.org_slug,
        )


def _report(stored: Mapping[str, Any]) -> ScanReportOut:
    return ScanReportOut(
        format=stored["format"], file_name=stored["name"], sha256_hash=stored["sha256"], file_size_bytes=stored["size"]
    )


class SecurityScansQuery(ListQuery):
    """Filters of security scans."""

    flow_id: UUID | None = None
    failed: Annotated[bool, Field(description="Only scans that did not pass")] = False

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"flow_id": self.flow_id, "failed": self.failed}


class SecurityScanSummaryQuery(WireIn):
    """Which scans to add up. `tool` is the exact name."""

    flow_id: UUID | None = None
    trail_id: UUID | None = None
    org_slug: Short | None = None
    tool: Short | None = None
    since: Annotated[Instant | None, Field(alias="from", description="Earliest time, inclusive")] = None
    until: Annotated[Instant | None, Field(alias="to", description="Latest time, inclusive")] = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query. Raises Invalid when `from` is later than `to`."""
        if self.since and self.until and self.since > self.until:
            raise Invalid.of("from", "is later than to")
        return {name: getattr(self, name) for name in ("flow_id", "trail_id", "tool", "since", "until")}


class SecurityScanSummaryOut(WireModel):
    """How many scans there are, and what they found together."""

    total_scans: int = shows("scans")
    total_critical: int = shows("critical")
    total_high: int = shows("high")
    total_medium: int = shows("medium")
    total_low: int = shows("low")
    scans_with_critical: int = shows("with_critical")
