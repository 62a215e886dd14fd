"""Adding up security scans: whole days were added up when they were recorded, the rest is read scan by scan."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.tenant import Tenant
from storage.database import Reader
from storage.gates.queries.security_scans import SCANS
from storage.paging import Where
from storage.rows import from_row


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """How many scans there are, and what they found together."""

    scans: int
    critical: int
    high: int
    medium: int
    low: int
    with_critical: int

    def __add__(self, other: "ScanSummary") -> "ScanSummary":
        return ScanSummary(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))


_summary = from_row(ScanSummary)
_ONE_BY_ONE = """
SELECT 1::bigint AS scans, s.critical, s.high, s.medium, s.low, (s.critical > 0)::int AS with_critical
FROM security_scans s
"""
_BY_DAY = "SELECT s.scans, s.critical, s.high, s.medium, s.low, s.with_critical FROM security_scan_days s"
_SUM = """
SELECT coalesce(sum(scans), 0)::bigint AS scans, coalesce(sum(critical), 0)::bigint AS critical,
       coalesce(sum(high), 0)::bigint AS high, coalesce(sum(medium), 0)::bigint AS medium,
       coalesce(sum(low), 0)::bigint AS low, coalesce(sum(with_critical), 0)::bigint AS with_critical
FROM ({rows}) AS summed
"""


def day_of(moment: datetime) -> datetime:
    """Return the beginning of a moment's day in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def summarise_scans(
    reader: Reader,
    tenant: Tenant,
    *,
    flow_id: UUID | None = None,
    trail_id: UUID | None = None,
    tool: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ScanSummary:
    """Add up the scans that meet all conditions, from the first to the last moment inclusive.

    Scans of a trail, and those that scopes limit, are read one by one.
    """
    asked = {"s.flow_id = {}": flow_id, "s.trail_id = {}": trail_id, "s.tool = {}": tool}
    first, last = since and day_of(since), until and day_of(until)
    scans = SCANS.of(tenant)
    within = {"s.created_at >= {}": since, "s.created_at <= {}": until}
    if trail_id is not None or tenant.scopes is not None or (first is not None and first == last):
        return await _sum(reader, _ONE_BY_ONE, scans, asked | within)
    days = Where(("s.org_id = $1",), (tenant.org_id,))
    found = await _sum(reader, _BY_DAY, days, asked | {"s.day > {}": first, "s.day < {}": last})
    if since is not None:
        on_first = {"s.created_at >= {}": since, "s.created_at < {}::timestamptz + interval '1 day'": first}
        found += await _sum(reader, _ONE_BY_ONE, scans, asked | on_first)
    if until is not None:
        on_last = {"s.created_at >= {}": last, "s.created_at <= {}": until}
        found += await _sum(reader, _ONE_BY_ONE, scans, asked | on_last)
    return found


async def _sum(reader: Reader, select: str, where: Where, conditions: Mapping[str, Any]) -> ScanSummary:
    for condition, value in conditions.items():
        if value is not None:
            where = where.and_(condition, value)
    [row] = await reader.rows(_SUM.format(rows=where.matching(select, "")), *where.values)
    return _summary(row)
