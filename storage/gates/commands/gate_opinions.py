"""Letting bundles of OPA take part in decisions of the gate."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from domain.audit.events import Actor
from domain.gates.evaluation import Opinion, bundles
from domain.gates.opa import OpaDecision
from domain.gates.verdicts import GateInputs
from domain.tenant import Tenant
from storage.database import Transaction
from storage.facts.queries.held_reports import HeldReport
from storage.gates.commands.opa_decisions import record_decisions
from storage.gates.queries.opa_bundles import active_bundle_ids
from storage.gates.queries.opinions import Opinions, Wanted, valid_opinions


async def with_opinions(
    tx: Transaction,
    tenant: Tenant,
    inputs: GateInputs,
    reports: Sequence[HeldReport],
    given: Opinions,
    *,
    actor: Actor,
) -> GateInputs | list[Wanted]:
    """Return the inputs with what the bundles say that the policies name, or the opinions that are still wanted.

    What counts is recorded as decisions of OPA, which the inputs cite. What the allow-list lets through needs no
    opinion.
    """
    known = inputs.known
    named = list(bundles(known.policies))
    if not named or known.allowed_by or not reports:
        return inputs
    active = await active_bundle_ids(tx, tenant, named)
    environment = known.place.name if known.place else None
    valid, wanted = await valid_opinions(
        tx, tenant, reports, environment=environment, bundle_ids=active.values(), given=given
    )
    if wanted:
        return wanted
    decisions = await record_decisions(tx, tenant, list(valid.values()), actor) if valid else []
    recorded = dict(zip(valid, decisions, strict=True))
    sources = [source.with_opinions(*_of_trail(source.evidence.trail_id, recorded)) for source in inputs.sources]
    return inputs.with_sources(sources)


def _of_trail(
    trail_id: UUID, recorded: Mapping[Wanted, OpaDecision]
) -> tuple[Mapping[str, Opinion], Mapping[str, UUID]]:
    """Return the opinions about the artifact of one trail, and the decisions, by the names of the bundles."""
    own = [decision for wanted, decision in recorded.items() if wanted.trail_id == trail_id]
    return {one.bundle_name: Opinion(one.allow, one.reasons) for one in own}, {one.bundle_name: one.id for one in own}
