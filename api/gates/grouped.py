"""Group commits for the most frequent request of pipelines to the gate."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from aiohttp import web

from api.http.calls import SERVICES
from api.http.grouped import GroupedCommand
from domain.environments.allow_list import NewUse
from domain.gates.gate import GateOutcome
from domain.tenant import Tenant
from storage.database import Transaction
from storage.environments.commands.allow_list_uses import record_uses
from storage.gates.commands.gate import Decided, Undecided, decide_gate
from storage.gates.queries.questions import Question

GATE: web.AppKey[GroupedCommand[Question, Decided | Undecided]] = web.AppKey("gate", GroupedCommand)


async def _decide(
    tx: Transaction, tenant: Tenant, questions: Sequence[Question], *, default: GateOutcome
) -> list[Decided | Undecided]:
    """Decide, and record what the allow-lists of the environments let through."""
    decided = await decide_gate(tx, tenant, questions, default=default)
    for one in decided:
        if isinstance(one, Decided) and (use := _use(one)):
            await record_uses(tx, tenant, [use], one.actor)
    return decided


def _use(decided: Decided) -> NewUse | None:
    known = decided.inputs.known
    if known.allowed_by is None:
        return None
    name = known.evidence[0].candidate.name if known.evidence else ""
    return NewUse(known.allowed_by.environment_id, known.allowed_by.id, name, known.digest)


async def grouped_decisions(app: web.Application) -> AsyncIterator[None]:
    """Provide `GATE` while the application serves."""
    default = GateOutcome(app[SERVICES].settings.gate_default_decision)
    async with GroupedCommand.opened(app, "gate", partial(_decide, default=default)) as gate:
        app[GATE] = gate
        yield
