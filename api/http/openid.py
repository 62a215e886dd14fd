"""The identity providers that this process has asked, and the CI jobs that their tokens describe."""

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from api.http.sampling import SampledLog
from domain.errors import Unauthenticated, Unavailable
from domain.identity.workload_identities import CiIssuer
from domain.identity.workloads import Workload, workload_of
from integrations.oidc.answers import ProviderError
from integrations.oidc.discovery import Providers
from integrations.oidc.keys import KeySets
from integrations.oidc.tokens import BadToken, TokenFault, verify
from storage.services import Services

RETRY_AFTER = 5
"""Seconds after which a client should try again if the issuer of its token did not answer."""

log = SampledLog()


@dataclass(frozen=True, slots=True)
class OpenId:
    """The providers and their keys, both cached."""

    providers: Providers
    keys: KeySets

    @classmethod
    def over(cls, services: Services) -> "OpenId":
        """Ask the providers through the guarded session of these services."""
        return cls(Providers(services.outbound), KeySets(services.outbound))

    async def job_of(self, token: str, issuer: CiIssuer, audience: str, now: datetime) -> Workload:
        """Verify the token of a CI job, and return the job. This asks the issuer, so it must be a trusted one.

        Raises BadToken, and Unavailable if the issuer does not answer as it should.
        """
        try:
            provider = await self.providers.get(issuer.issuer)
            claims = await verify(token, provider, self.keys, audience, now)
        except ProviderError as error:
            log.line("ci_token.unverified", error.reason.value, issuer=issuer.issuer, reason=error.reason.value)
            message = "The issuer of this CI token cannot be asked for its keys; try again. The server's log says why."
            raise Unavailable(message, RETRY_AFTER) from error
        try:
            return workload_of(issuer.provider, claims.values)
        except Unauthenticated as error:
            raise BadToken(TokenFault.CLAIMS) from error


OPENID: web.AppKey[OpenId] = web.AppKey("openid", OpenId)
