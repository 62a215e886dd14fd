"""Group commits for the most frequent requests of pipelines: recording attestations and asserting compliance."""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from api.http.grouped import GroupedCommand
from domain.facts.attestations import Attestation, NewAttestation
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.commands.assertions import Decision, NewAssertion, decide
from storage.facts.commands.attestations import record_attestations
from storage.facts.queries.trails import get_trail
from storage.gates.queries.flow_policies import demands_of_flows

ATTESTATIONS: web.AppKey[GroupedCommand[NewAttestation, Attestation]] = web.AppKey("attestations", GroupedCommand)
ASSERTIONS: web.AppKey[GroupedCommand[NewAssertion, Decision]] = web.AppKey("assertions", GroupedCommand)


async def _check_trail(reader: Reader, tenant: Tenant, new: NewAttestation) -> None:
    """Raise NotFound for a trail outside the scopes: neither its flow nor its repository ever changes."""
    await get_trail(reader, tenant, new.trail_id)


async def grouped_commands(app: web.Application) -> AsyncIterator[None]:
    """Provide `ATTESTATIONS` and `ASSERTIONS` while the application serves."""
    async with (
        GroupedCommand.opened(app, "attestations", record_attestations, _check_trail) as attestations,
        GroupedCommand.opened(app, "assertions", partial(decide, policies=demands_of_flows)) as assertions,
    ):
        app[ATTESTATIONS], app[ASSERTIONS] = attestations, assertions
        yield
