"""Compile and evaluate OPA bundles off the event loop, in processes that organisations take in turn."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

from aiohttp import web

from domain.gates.opa import Bundle, Evaluation, OpaOutcome, outcome_of
from domain.gates.rego import Rule, Source
from integrations.opa.archives import read_source
from integrations.opa.compiler import compiled
from integrations.opa.evaluators import Evaluators
from storage.slots import Slots
from storage.threads import Threads

MAX_READERS = 2
MAX_COMPILERS = 2
MAX_EVALUATORS = 2
"""Threads and processes at once: half of them for one organisation, so that another need not wait."""
MAX_INPUT = 1 << 20
PATIENCE = 30.0
"""Seconds that a request waits for its turn, before it is refused with 429."""

TOO_LARGE = Evaluation(failure=f"The input has more than {MAX_INPUT:,} bytes")


class OpaEvaluators:
    """Compiles and evaluates the bundles of one application."""

    def __init__(self) -> None:
        self._readers = Threads(MAX_READERS, "policy readers")
        self._compilers = Slots(MAX_COMPILERS, "policy compilers")
        self._places = Slots(MAX_EVALUATORS, "policy evaluators")
        self._evaluators = Evaluators()

    async def compile(self, org_id: UUID, source: Source) -> tuple[Rule, ...]:
        """Compile a bundle and return the rules that decide. Raises Invalid, Rejected, Throttled."""
        async with self._compilers.taken(org_id, PATIENCE):
            return await compiled(source)

    async def read(self, org_id: UUID, path: Path, file_name: str) -> Source:
        """Read an uploaded bundle in a thread. Raises Invalid, TooLarge."""
        return await self._readers.run(org_id, read_source, path, file_name)

    async def decide(self, bundle: Bundle, text: str) -> OpaOutcome:
        """Return what a bundle says about an input in canonical JSON; a failure is not allowed. Raises Throttled."""
        if len(text.encode()) > MAX_INPUT:
            return outcome_of(bundle, text, TOO_LARGE)
        async with self._places.taken(bundle.org_id, PATIENCE):
            return outcome_of(bundle, text, await self._evaluators.evaluate(bundle, text))

    async def close(self) -> None:
        """End the processes."""
        await self._evaluators.close()


OPA_EVALUATORS: web.AppKey[OpaEvaluators] = web.AppKey("opa_evaluators", OpaEvaluators)


async def opa_evaluators(app: web.Application) -> AsyncIterator[None]:
    """Provide `OPA_EVALUATORS` while the application serves."""
    app[OPA_EVALUATORS] = OpaEvaluators()
    yield
    await app[OPA_EVALUATORS].close()
