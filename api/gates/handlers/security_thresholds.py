"""Handlers of the thresholds of security scans."""

from uuid import UUID

from api.gates.schemas.security_thresholds import SecurityThresholdsIn, SecurityThresholdsOut
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, created, deleted, versioned
from api.http.versions import IfMatch, expected_versions
from storage.gates.commands.security_thresholds import delete_thresholds, set_thresholds
from storage.gates.queries.security_thresholds import get_thresholds


async def set_security_thresholds(
    call: Call, flow_id: UUID, body: SecurityThresholdsIn, dry_run: DryRun = False
) -> Created[SecurityThresholdsOut]:
    """Set the security thresholds of a flow, in place of those it has.

    They judge the scans that are recorded from now on. What is not given gets its default: no critical and no high
    finding, ten medium ones, any number of low ones.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        thresholds = await set_thresholds(tx, call.tenant, flow_id, body.to_command(), call.actor)
    return created(SecurityThresholdsOut.of(thresholds, call), dry_run=dry_run)


async def get_security_thresholds(call: Call, flow_id: UUID) -> Reply[SecurityThresholdsOut]:
    """Get the security thresholds of a flow.

    A flow without any answers 404: its scans may have no critical finding, and any number of others.
    """
    async with call.read() as reader:
        thresholds = await get_thresholds(reader, call.tenant, flow_id)
    return versioned(SecurityThresholdsOut.of(thresholds, call))


async def delete_security_thresholds(
    call: Call, flow_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Deleted[SecurityThresholdsOut]:
    """Delete the security thresholds of a flow; its scans may then have no critical finding."""
    expected = expected_versions(if_match)
    async with call.transaction(dry_run=dry_run) as tx:
        archived = await delete_thresholds(tx, call.tenant, flow_id, call.actor, expected=expected)
    return deleted(SecurityThresholdsOut.of(archived, call), dry_run=dry_run)
