"""The identity providers that this process has asked, and the CI jobs that their tokens describe."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from aiohttp import web

from api.http.sampling import SampledLog
from domain.errors import Unauthenticated, Unavailable
from domain.identity.workloads import Workload, workload_of
from integrations.oidc.answers import ProviderError
from integrations.oidc.discovery import Providers
from integrations.oidc.keys import KeySets
from integrations.oidc.tokens import BadToken, TokenFault, verify
from storage.identity.queries.workload_identities import Trust
from storage.services import Services

RETRY_AFTER = 5
"""Seconds after which a client should try again if the issuer of its token did not answer."""

MAX_WAITING = 1000
"""Tokens of an organisation that wait for its issuers at a time: slow ones must not fill the memory."""
MAX_ISSUERS = 8
"""Issuers that an organisation's tokens wait for at a time: each takes a connection, which is an open file."""

log = SampledLog()


@dataclass(frozen=True, slots=True)
class OpenId:
    """The providers and their keys, both cached. `waiting` counts the tokens that wait, by organisation and issuer."""

    providers: Providers
    keys: KeySets
    waiting: dict[UUID, Counter[str]] = field(default_factory=dict)

    @classmethod
    def over(cls, services: Services) -> "OpenId":
        """Ask the providers through the guarded session of these services."""
        return cls(Providers(services.outbound), KeySets(services.outbound))

    async def job_of(self, token: str, trust: Trust, audience: str, now: datetime) -> Workload:
        """Verify the token of a CI job, and return the job. This asks the issuer, so it must be a trusted one.

        Raises BadToken, and Unavailable if the issuer does not answer as it should.
        """
        issuer = trust.issuer.issuer
        try:
            with self._counted(trust.tenant.org_id, issuer):
                provider = await self.providers.get(issuer)
                claims = await verify(token, provider, self.keys, audience, now)
        except ProviderError as error:
            log.line("ci_token.unverified", error.reason.value, issuer=issuer, reason=error.reason.value)
            message = "The issuer of this CI token cannot be asked for its keys; try again. The server's log says why."
            raise Unavailable(message, RETRY_AFTER) from error
        try:
            return workload_of(trust.issuer.provider, claims.values)
        except Unauthenticated as error:
            raise BadToken(TokenFault.CLAIMS) from error

    @contextmanager
    def _counted(self, org_id: UUID, issuer: str) -> Iterator[None]:
        """Count a token that waits. Raises Unavailable if too many of the organisation do."""
        waiting = self.waiting.setdefault(org_id, Counter())
        if waiting.total() >= MAX_WAITING or (issuer not in waiting and len(waiting) >= MAX_ISSUERS):
            raise Unavailable("Too many CI tokens wait for their issuers; try again shortly.", RETRY_AFTER)
        waiting[issuer] += 1
        try:
            yield
        finally:
            waiting -= Counter((issuer,))  # in place, and without zeros
            if not waiting:
                self.waiting.pop(org_id, None)


OPENID: web.AppKey[OpenId] = web.AppKey("openid", OpenId)
