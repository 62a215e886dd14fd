"""Judging scans, and what they are attested as."""

from uuid import UUID

import pytest

from domain.audit.events import Actor
from domain.gates.security_scans import Counts, NewScan, ScanReport, ScanType, attestations_of, judge
from domain.gates.security_thresholds import SEVERITIES, UNLIMITED, UNSET, Thresholds

TRAIL = UUID(int=1)
ACTOR = Actor(UUID(int=2))


def scanned(**fields: object) -> NewScan:
    return NewScan(**{"trail_id": TRAIL, "tool": "trivy", "counts": Counts(), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("severity", SEVERITIES)
def test_only_more_than_the_maximum_is_a_breach(severity: str) -> None:
    thresholds = Thresholds(**{f"max_{one}": 3 if one == severity else 0 for one in SEVERITIES})
    none = dict.fromkeys(SEVERITIES, 0)
    assert list(thresholds.breaches(none | {severity: 3})) == []
    assert list(thresholds.breaches(none | {severity: 4})) == [f"{severity}: 4 found, at most 3 allowed"]


def test_without_thresholds_only_critical_findings_count() -> None:
    most = dict.fromkeys(SEVERITIES, UNLIMITED)
    assert list(UNSET.breaches(most)) == [f"critical: {UNLIMITED} found, at most 0 allowed"]


@pytest.mark.parametrize(
    ("passed", "doubt", "reason"),
    [
        (None, None, None),
        (True, None, None),
        (False, None, "The scan was reported as not passed."),
        (True, "It crashed", "It crashed"),
        (False, "It crashed", "The scan was reported as not passed. It crashed"),
    ],
)
def test_a_scan_passes_without_breach_and_reason(passed: bool | None, doubt: str | None, reason: str | None) -> None:
    judgement = judge(scanned(passed=passed, report=ScanReport("sarif", "r", "0", 1, doubt)), None)
    assert (judgement.reason, judgement.passed) == (reason, reason is None)


def test_a_scan_is_attested_under_its_type_and_its_tool() -> None:
    new = scanned(counts=Counts(critical=1), target="shop:1", passed=False)
    first, second = attestations_of(new, judge(new, None), ACTOR)
    assert (first.type, first.name, first.is_noticed) == ("SECURITY_SCAN", "trivy", True)
    assert (second.type, second.name, second.is_noticed) == ("trivy", None, False)
    assert first.details == second.details
    assert first.details == (
        "trivy of shop:1: 1 critical, 0 high, 0 medium, 0 low, 0 informational. "
        "critical: 1 found, at most 0 allowed; The scan was reported as not passed."
    )


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"counts": Counts(high=1), "tool_version": "2", "passed": False, "report_url": "u"}, True),
        ({"tool": "grype"}, False),
        ({"target": "shop:2"}, False),
        ({"scan_type": ScanType.SAST}, False),
        ({"attestation_type": "x"}, False),
        ({"attestation_name": "x"}, False),
    ],
)
def test_what_tells_scans_apart(fields: dict[str, object], same: bool) -> None:
    def keys(new: NewScan) -> set[str]:
        return {one.key for one in attestations_of(new, judge(new, None), ACTOR)}

    one, other = keys(scanned(target="shop:1")), keys(scanned(**{"target": "shop:1", **fields}))
    assert len(one) == 2
    assert one == other if same else one.isdisjoint(other)


def test_the_longest_names_fit_an_index() -> None:
    new = scanned(tool="ü" * 100, target="ü" * 500, attestation_type="ü" * 255, attestation_name="ü" * 255)
    assert all(len(one.key.encode()) < 300 for one in attestations_of(new, judge(new, None), ACTOR))
