"""Authenticate CI jobs by the tokens that their platform signs. Each token is verified once, until it expires.

Nothing is fetched for a token unless a workload identity of the organisation names its issuer.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from api.http.calls import SERVICES
from api.http.openid import OPENID, OpenId
from api.http.sampling import SampledLog
from api.identity.credentials import CREDENTIALS, Credentials
from domain.identity.permissions import Principal
from domain.identity.workload_identities import organisation_named
from domain.identity.workloads import Workload
from integrations.oidc.tokens import MAX_AGE, BadToken, TokenFault, audience_of, issuer_of
from storage.identity.queries.workload_identities import Trust, principal_of_job, trust_in
from storage.services import Services

MAX_KNOWN = 1000
"""Verified tokens in the memory of a process."""
_FORM = "eyJ"
"""How a JWT begins: with the code of `{"`."""
_DOTS = 2


def is_ci_token(text: str) -> bool:
    """Whether a credential has the form of a token that a CI platform signs."""
    return text.startswith(_FORM) and text.count(".") == _DOTS


@dataclass(frozen=True, slots=True)
class _Verified:
    """The job of a verified token, and for whom it was verified."""

    trust: Trust
    job: Workload

    @property
    def ends(self) -> datetime:
        """When the token is not accepted any more: at its end, or when it is too old to be verified again."""
        return min(self.job.expires_at, self.job.issued_at + MAX_AGE)


class CiTokens:
    """The jobs of CI tokens, by hash of the token. Only verified ones are kept; those who wait for one share it."""

    def __init__(self, services: Services, openid: OpenId, credentials: Credentials) -> None:
        self._services = services
        self._openid = openid
        self._credentials = credentials
        self._known: dict[bytes, _Verified] = {}
        self._running: dict[bytes, asyncio.Task[_Verified]] = {}
        self._log = SampledLog()

    async def principal_of(self, token: str, sha256: bytes) -> Principal | None:
        """Return who acts with a token of this hash; None if it is refused. Raises Unavailable if its issuer is."""
        try:
            return await self._admitted(token, sha256)
        except BadToken as error:
            self._log.line("ci_token.refused", error.reason.value, reason=error.reason.value)
            return None

    async def close(self) -> None:
        """Give up what is being verified."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _admitted(self, token: str, sha256: bytes) -> Principal:
        """Return who acts. The identity is looked up as keys are, so that a change of it counts at once."""
        found = await self._verified(sha256, token)

        async def ask() -> Principal | None:
            async with self._services.database.read() as reader:
                return await principal_of_job(reader, found.trust, found.job)

        principal = await self._credentials.principal_of(sha256, ask)
        if principal is None:
            raise BadToken(TokenFault.NO_IDENTITY)
        return principal

    async def _verified(self, sha256: bytes, token: str) -> _Verified:
        found = self._known.get(sha256)
        if found is None:
            task = self._running.get(sha256) or self._start(sha256, token)
            found = await asyncio.shield(task)  # whoever leaves does not end it for the others
        if found.ends <= self._services.clock.now():
            self._known.pop(sha256, None)
            raise BadToken(TokenFault.EXPIRED)
        return found

    def _start(self, sha256: bytes, token: str) -> asyncio.Task[_Verified]:
        def end(task: asyncio.Task[_Verified]) -> None:
            del self._running[sha256]
            if task.cancelled() or task.exception():
                return
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[sha256] = task.result()

        task = self._running[sha256] = asyncio.create_task(self._verify(token))
        task.add_done_callback(end)
        return task

    async def _verify(self, token: str) -> _Verified:
        """Verify a token for the organisation that its audience names. Raises BadToken and Unavailable."""
        address, issuer = self._services.settings.address, issuer_of(token).rstrip("/")
        named = {slug: one for one in audience_of(token) if (slug := organisation_named(one, address))}
        if len(named) != 1:
            raise BadToken(TokenFault.AUDIENCE)
        [(slug, audience)] = named.items()
        async with self._services.database.read() as reader:
            trust = await trust_in(reader, slug, issuer)
        if trust is None:
            raise BadToken(TokenFault.UNTRUSTED_ISSUER)
        job = await self._openid.job_of(token, trust, audience, self._services.clock.now())
        return _Verified(trust, job)


CI_TOKENS: web.AppKey[CiTokens] = web.AppKey("ci_tokens", CiTokens)


async def ci_tokens(app: web.Application) -> AsyncIterator[None]:
    """Provide `CI_TOKENS` while the application serves; needs `CREDENTIALS`."""
    tokens = app[CI_TOKENS] = CiTokens(app[SERVICES], app[OPENID], app[CREDENTIALS])
    yield
    await tokens.close()
