"""Group commits for the most frequent requests of pipelines: recording attestations and asserting compliance."""

from collections.abc import AsyncIterator

from aiohttp import web

from api.http.grouped import GroupedCommand
from domain.facts.attestations import Attestation, NewAttestation
from storage.facts.commands.assertions import Decision, NewAssertion, decide
from storage.facts.commands.attestations import record_attestations

ATTESTATIONS: web.AppKey[GroupedCommand[NewAttestation, Attestation]] = web.AppKey("attestations", GroupedCommand)
ASSERTIONS: web.AppKey[GroupedCommand[NewAssertion, Decision]] = web.AppKey("assertions", GroupedCommand)


async def grouped_commands(app: web.Application) -> AsyncIterator[None]:
    """Provide `ATTESTATIONS` and `ASSERTIONS` while the application serves."""
    async with (
        GroupedCommand.opened(app, "attestations", record_attestations) as attestations,
        GroupedCommand.opened(app, "assertions", decide) as assertions,
    ):
        app[ATTESTATIONS], app[ASSERTIONS] = attestations, assertions
        yield
