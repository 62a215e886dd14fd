"""What many requests do in one go: commits, and look-ups of credentials (storage/group_commit.py)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from api.calls import Call
from domain.facts.attestations import Attestation, NewAttestation
from domain.permissions import Principal
from storage.database import JoinedDatabase
from storage.facts.commands.attestations import record_attestations
from storage.group_commit import GroupCommit, Limits
from storage.identity.queries import principals_of_keys
from storage.inbox.commands import Arrival, Receipt, accept
from storage.schedule.doorbell import Job
from storage.scope import Scope
from storage.services import Services

INBOX_BATCH, INBOX_WRITERS = 128, 3
REPORT_LIMITS = Limits(items=512, weight=64 * 2**20, batch=64, writers=2)
CREDENTIAL_LIMITS = Limits(items=4096, weight=0, batch=256, writers=2)


@dataclass(frozen=True, slots=True)
class Report:
    """One attestation of one organisation, as a request hands it over."""

    scope: Scope
    attestation: NewAttestation


@dataclass(frozen=True, slots=True)
class Writers:
    """`arrivals` answers None for a config that was deleted a moment ago."""

    arrivals: GroupCommit[Arrival, Receipt | None]
    reports: GroupCommit[Report, Attestation]
    credentials: GroupCommit[bytes, Principal | None]
    """Look-ups by a key's hash. Each begins after its request arrived, so a revoked key holds for nobody."""


WRITERS: web.AppKey[Writers] = web.AppKey("writers", Writers)


async def record(call: Call, report: Report, *, dry_run: bool) -> Attestation:
    """Record an attestation in one commit with those of other requests.

    A dry run, and a request whose effect must be kept together with its answer, have a transaction of their own.
    """
    database = call.services.database
    if not dry_run and not isinstance(database, JoinedDatabase):
        return await call.request.app[WRITERS].reports.submit(report)
    async with database.transaction(dry_run=dry_run) as tx:
        [attestation] = await record_attestations(tx, report.scope, [report.attestation])
    return attestation


@asynccontextmanager
async def open_writers(services: Services) -> AsyncIterator[Writers]:
    """Start the writers; at the end what waits is written."""
    settings = services.settings

    async def write_arrivals(arrivals: Sequence[Arrival]) -> Sequence[Receipt | None]:
        async with services.database.transaction() as tx:
            receipts = await accept(tx, arrivals)
        services.doorbell.ring(Job.DRAIN)
        return receipts

    async def write_reports(reports: Sequence[Report]) -> Sequence[Attestation]:
        recorded: dict[int, Attestation] = {}
        async with services.database.transaction() as tx:
            for scope in sorted({report.scope for report in reports}, key=lambda scope: scope.org_id):
                places = [place for place, report in enumerate(reports) if report.scope == scope]
                made = await record_attestations(tx, scope, [reports[place].attestation for place in places])
                recorded.update(zip(places, made, strict=True))
        services.doorbell.ring(Job.SEAL)
        return [recorded[place] for place in range(len(reports))]

    inbox_limits = Limits(settings.inbox_capacity, settings.inbox_capacity_bytes, INBOX_BATCH, INBOX_WRITERS)

    async def look_up(hashes: Sequence[bytes]) -> Sequence[Principal | None]:
        async with services.database.read() as reader:
            found = await principals_of_keys(reader, set(hashes), services.clock.now())
        return [found.get(one) for one in hashes]

    writers = Writers(
        GroupCommit(write_arrivals, inbox_limits),
        GroupCommit(write_reports, REPORT_LIMITS),
        GroupCommit(look_up, CREDENTIAL_LIMITS),
    )
    try:
        yield writers
    finally:
        await writers.arrivals.close()
        await writers.reports.close()
        await writers.credentials.close()
