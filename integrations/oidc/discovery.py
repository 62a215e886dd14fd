"""Discovery: what an identity provider says about itself (OpenID Connect Discovery 1.0)."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
from yarl import URL

from domain.errors import Invalid
from integrations.oidc.answers import ProviderFailure, failure, get_object
from integrations.oidc.caching import Cache, Clock

MAX_DOCUMENT = 64 * 1024
LIFETIME = 3600.0
_MAX_URL = 2000
_WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider. `issuer` is spelled as it is in its tokens, perhaps with a slash at the end."""

    issuer: str
    authorization_endpoint: str | None
    """None for a provider of CI tokens, at which nobody signs in; the same for the token endpoint."""
    token_endpoint: str | None
    jwks_uri: str
    token_endpoint_auth_methods: frozenset[str]


class Providers:
    """The identity providers that this process has asked, for an hour each.

    `outbound` is the guarded session. It refuses http outside the networks that the operator permits.
    """

    def __init__(self, outbound: aiohttp.ClientSession, clock: Clock = monotonic) -> None:
        self._outbound = outbound
        self._cache = Cache(self._discover, LIFETIME, clock)

    async def get(self, issuer: str) -> Provider:
        """Return the provider with this issuer. Raises Invalid for a bad URL, and ProviderError."""
        return await self._cache.get(checked_issuer(issuer))

    async def ask(self, issuer: str) -> Provider:
        """Ask the provider again, whatever is known of it. Raises as `get` does."""
        return await self._cache.renew(checked_issuer(issuer), pause=0)

    async def _discover(self, issuer: str) -> Provider:
        url = issuer + _WELL_KNOWN
        return _provider(issuer, url, await get_object(self._outbound, url, MAX_DOCUMENT))


def checked_issuer(issuer: str, field: str = "issuerUrl") -> str:
    """Return an issuer without its last slash. Raises Invalid unless it is an http(s) URL without query and user.

    Whether http is permitted depends on the address, which the guarded session decides.
    """
    if not _is_endpoint(issuer, {"https", "http"}) or "?" in issuer or "#" in issuer:
        raise Invalid.of(field, "must be an https URL without user, query and fragment")
    return issuer.rstrip("/")


def _provider(issuer: str, url: str, found: Mapping[str, Any]) -> Provider:
    """Read a document. Its endpoints must be https, or http if the issuer is, which only a permitted network can be."""
    named = found.get("issuer")
    if not isinstance(named, str) or named.removesuffix("/") != issuer:
        raise failure(ProviderFailure.WRONG_ISSUER, url, "names another issuer in its discovery document")
    schemes = {"https", URL(issuer).scheme}
    for name in ("jwks_uri", "authorization_endpoint", "token_endpoint"):
        value = found.get(name)
        if not (_is_endpoint(value, schemes) or (value is None and name != "jwks_uri")):
            raise failure(ProviderFailure.MALFORMED, url, f"names no usable {name} in its discovery document")
    methods = found.get("token_endpoint_auth_methods_supported")
    return Provider(
        issuer=named,
        authorization_endpoint=found.get("authorization_endpoint"),
        token_endpoint=found.get("token_endpoint"),
        jwks_uri=found["jwks_uri"],
        token_endpoint_auth_methods=_texts(methods) or frozenset({"client_secret_basic"}),
    )


def _is_endpoint(value: object, schemes: set[str]) -> bool:
    if not isinstance(value, str) or len(value) > _MAX_URL or not value.isprintable() or " " in value:
        return False
    try:
        url = URL(value)
        return url.scheme in schemes and bool(url.host) and url.user is None and not url.fragment
    except ValueError:
        return False


def _texts(value: object) -> frozenset[str]:
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()
