"""Authenticate requests by API key, session or CI token, and resolve the organisation they act in."""

from dataclasses import replace

from aiohttp import web

from api.http.calls import SERVICES
from api.http.organisation import no_organisation
from api.http.rate_limits import RATE_LIMITS
from api.http.reading import clean_text
from api.identity.ci_tokens import CI_TOKENS, is_ci_token
from api.identity.cookies import presented_session
from api.identity.credential_uses import CREDENTIAL_USES
from api.identity.credentials import CREDENTIALS
from api.identity.origins import refuse_foreign_pages, require_own_page
from domain.errors import Denial, Unauthenticated, Unavailable
from domain.identity.api_keys import key_hash
from domain.identity.permissions import Permission, Principal, role_permissions
from domain.identity.rates import RateLimit
from integrations.oidc.tokens import MAX_TOKEN
from storage.identity.queries.organisations import organisation_by_slug_or_id
from storage.services import Services

ORGANISATION_HEADER = "X-Trailgate-Organisation"
ORGANISATION_PARAMETER = "organisation"
MAX_KEY_LENGTH = 512

EVERYBODY: web.AppKey[Principal] = web.AppKey("everybody", Principal)
"""The principal of every request; set only when authentication is off."""

INVALID = (
    "The credential is not valid: unknown, expired or revoked, or a person's key while single sign-on is mandatory."
)
NOT_ACCEPTED = (
    "The CI token is not accepted: it is not valid for this audience now, or no workload identity admits its job."
)


async def authenticate(request: web.Request) -> Principal | None:
    """Return the caller, or None without a credential.

    Raises Unauthenticated for an invalid credential, Forbidden for a request that a foreign web page sends, and
    Throttled beyond a rate limit.
    """
    refuse_foreign_pages(request)
    if EVERYBODY in request.app:
        return await _in_organisation(request, request.app[EVERYBODY])
    text = presented_key(request)
    is_ci = text is not None and is_ci_token(text)
    if text is None:
        text = presented_session(request)
        if text is None:
            await request.app[RATE_LIMITS].admit_anonymous(request, RateLimit.ADDRESS)
            return None
        require_own_page(request)
    services: Services = request.app[SERVICES]
    principal = await _holder(request, text, is_ci=is_ci)
    request.app[RATE_LIMITS].admit(request, principal)
    request.app[CREDENTIAL_USES].note(principal, services.clock.now())
    return await _in_organisation(request, principal)


async def _holder(request: web.Request, text: str, *, is_ci: bool) -> Principal:
    """Return who has a credential. Raises Unauthenticated for an invalid one.

    If the client's address failed too often, only those credentials are looked up that were valid before: who shares
    that address, and whose key is in use, does not notice.
    """
    sha256, credentials, limits = key_hash(text), request.app[CREDENTIALS], request.app[RATE_LIMITS]
    if not credentials.has_proven(sha256):
        limits.refuse_failing(request, RateLimit.FAILED_KEYS)
    principal = await (_ci_job(request, text, sha256) if is_ci else credentials.principal_of(sha256))
    if principal is None:
        credentials.disproved(sha256)
        limits.failed(request, RateLimit.FAILED_KEYS)
        raise Unauthenticated(NOT_ACCEPTED, denial=Denial.CI_TOKEN) if is_ci else Unauthenticated(INVALID)
    return principal


async def _ci_job(request: web.Request, token: str, sha256: bytes) -> Principal | None:
    try:
        return await request.app[CI_TOKENS].principal_of(token, sha256)
    except Unavailable:  # whoever knows an issuer that is down could have tokens looked up without limit
        request.app[RATE_LIMITS].failed(request, RateLimit.FAILED_KEYS)
        raise


def presented_key(request: web.Request) -> str | None:
    """Return the credential in `X-Api-Key`, or in `Authorization: Bearer` or `ApiKey`; None without these headers.

    Raises Unauthenticated for other schemes, and for an empty or too long credential.
    """
    text = request.headers.get("X-Api-Key")
    if text is None:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return None
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "apikey"}:
            raise Unauthenticated("Send the API key as X-Api-Key, or as Authorization: Bearer or ApiKey.")
    text = text.strip()
    if not text or len(text) > (MAX_TOKEN if is_ci_token(text) else MAX_KEY_LENGTH):
        raise Unauthenticated(INVALID)
    return text


async def _in_organisation(request: web.Request, principal: Principal) -> Principal:
    """Return the principal in the organisation that the path names, else the header.

    Raises NotFound unless that is its own organisation or, for a platform administrator, an existing one. A key with
    scopes acts in its own organisation only.
    """
    named = request.match_info.get(ORGANISATION_PARAMETER)
    if named is None and (header := request.headers.get(ORGANISATION_HEADER)) is not None:
        named = clean_text(ORGANISATION_HEADER, header)
    if named is None or named in {principal.org_slug, str(principal.org_id)}:
        return principal
    if principal.scopes is None and principal.may(Permission.PLATFORM_MANAGE):
        services: Services = request.app[SERVICES]
        async with services.database.read() as reader:
            if organisation := await organisation_by_slug_or_id(reader, named):
                held = role_permissions(principal.role, organisation.slug) & principal.permissions
                return replace(
                    principal,
                    org_id=organisation.id,
                    org_slug=organisation.slug,
                    permissions=held | {Permission.PLATFORM_MANAGE},
                )
    raise no_organisation(named)
