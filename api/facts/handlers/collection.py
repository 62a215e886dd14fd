"""Handlers of bulk evidence, evidence summaries and evidence gaps."""

from uuid import UUID

from api.facts.schemas.collection import (
    CollectedIn,
    CollectedOut,
    CollectIn,
    CollectionOut,
    EvidenceSummaryOut,
    GapOut,
    GapsOut,
    GapsQuery,
)
from api.facts.schemas.coverage import CoverageOut
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import MAX_SIZE, list_headers
from domain.facts.attestations import Attestation
from storage.database import Transaction
from storage.facts.commands.attestations import record_attestations
from storage.facts.queries import collection as queries
from storage.facts.queries.coverage import list_coverage
from storage.facts.queries.trails import flows_of_trails
from storage.paging import Window


async def collect_evidence(call: Call, body: CollectIn, dry_run: DryRun = False) -> Created[CollectionOut]:
    """Record many results at once, on any trails.

    Each item becomes an attestation of its type. An invalid item is reported with its error; the valid items are
    recorded in one transaction.
    """
    readable = {index: item for index, item in enumerate(body.read) if isinstance(item, CollectedIn)}
    async with call.transaction(dry_run=dry_run) as tx:
        made = await _recorded(call, tx, readable)
    results = [CollectedOut.settled(index, item, made.get(index)) for index, item in enumerate(body.read)]
    return created(CollectionOut.counted(results), dry_run=dry_run)


async def _recorded(call: Call, tx: Transaction, items: dict[int, CollectedIn]) -> dict[int, Attestation]:
    """Record the items whose trail exists; return their attestations by index."""
    known = await flows_of_trails(tx, call.tenant, [item.trail_id for item in items.values()])
    good = {index: item.to_command(call.actor) for index, item in items.items() if item.trail_id in known}
    if not good:
        return {}
    return dict(zip(good, await record_attestations(tx, call.tenant, list(good.values())), strict=True))


async def get_evidence_summary(call: Call, trail_id: UUID) -> EvidenceSummaryOut:
    """Get the evidence that a trail has and the evidence it lacks.

    A trail is complete when every requirement of its flow version or template is PASSED.
    """
    async with call.snapshot() as reader:
        evidence = await queries.evidence_of_trail(reader, call.tenant, trail_id)
        coverage = await list_coverage(reader, call.tenant, trail_id, Window(MAX_SIZE, descending=True))
    reports = [CoverageOut.of(report, call) for report in coverage.items[::-1]]
    return EvidenceSummaryOut.summed_up(trail_id, evidence, reports)


async def list_evidence_gaps(call: Call, query: GapsQuery) -> Reply[GapsOut]:
    """List the trails that lack required evidence, oldest first.

    Trails are counted up to 10,000; if there are more, `X-Total-Count` ends in "+". A page may be shorter than
    requested: follow `Link` to the end.
    """
    async with call.read() as reader:
        page = await queries.list_gaps(reader, call.tenant, query.window(), **query.to_filters())
    body = GapsOut(gaps=[GapOut.of(gap, call) for gap in page.items], total_trails_with_gaps=page.total)
    return Reply(body, headers=list_headers(call.request, page))
