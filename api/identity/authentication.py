"""Who calls: one reader per credential, one `Principal` for all (ARCHITECTURE.md 4.2)."""

from dataclasses import replace

from aiohttp import web

from api.http.calls import SERVICES
from api.http.reading import clean_text
from api.identity.credentials import CREDENTIALS
from api.identity.key_uses import KEY_USES
from domain.errors import NotFound, Unauthenticated
from domain.identity.api_keys import key_hash
from domain.identity.permissions import Permission, Principal, role_permissions
from storage.identity.queries.organisations import organisation_by_slug_or_id
from storage.services import Services

ORGANISATION_HEADER = "X-Trailgate-Organisation"
MAX_KEY_LENGTH = 512

EVERYBODY: web.AppKey[Principal] = web.AppKey("everybody", Principal)
"""Set where authentication is off: the caller of every request."""

INVALID = "This credential does not hold: it is unknown, expired or revoked."


async def authenticate(request: web.Request) -> Principal | None:
    """The caller, or None when no credential was shown. Raises Unauthenticated for one that does not hold."""
    if EVERYBODY in request.app:
        return await _in_organisation(request, request.app[EVERYBODY])
    text = presented_key(request)
    if text is None:
        return None
    services: Services = request.app[SERVICES]
    principal = await request.app[CREDENTIALS].principal_of(key_hash(text))
    if principal is None:
        raise Unauthenticated(INVALID)
    if principal.credential_id:
        request.app[KEY_USES].note(principal.credential_id, services.clock.now())
    return await _in_organisation(request, principal)


def presented_key(request: web.Request) -> str | None:
    """`X-Api-Key`, else `Authorization: Bearer` or `ApiKey`. Raises Unauthenticated for other schemes."""
    text = request.headers.get("X-Api-Key")
    if text is None:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return None
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "apikey"}:
            raise Unauthenticated("Send the API key as X-Api-Key, or as Authorization: Bearer or ApiKey.")
    text = text.strip()
    if not text or len(text) > MAX_KEY_LENGTH:
        raise Unauthenticated(INVALID)
    return text


async def _in_organisation(request: web.Request, principal: Principal) -> Principal:
    """The organisation is the key's; a platform administrator may name another one."""
    named = request.headers.get(ORGANISATION_HEADER)
    if named is None or clean_text(ORGANISATION_HEADER, named) in {principal.org_slug, str(principal.org_id)}:
        return principal
    if principal.may(Permission.PLATFORM_MANAGE):
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
    raise NotFound(f"There is no organisation '{named[:100]}'.")
