"""The public keys of identity providers (RFC 7517)."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from integrations.oidc.answers import ProviderFailure, failure, get_object
from integrations.oidc.caching import Cache, Clock
from integrations.oidc.discovery import Provider

MAX_DOCUMENT = 256 * 1024
MAX_KEYS = 100
"""The first keys of a set that are read; real providers publish fewer than ten."""
LIFETIME = 3600.0
RENEWAL_PAUSE = 30.0
"""Seconds between two requests for the keys because of an unknown key id, so that nobody makes us ask all the time."""

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MAX_EXPONENT_BITS = 32
"""A key beyond these limits would make every check of a signature expensive."""

_CURVES = {"EC": {"P-256", "P-384", "P-521"}, "OKP": {"Ed25519", "Ed448"}}

PublicKey = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A usable key. `id` and `algorithm` are those that the set gives it, if any."""

    id: str | None
    algorithm: str | None
    key: PublicKey


class KeySets:
    """The key sets that this process has fetched, for an hour each; a key id that is not known fetches them again."""

    def __init__(self, outbound: aiohttp.ClientSession, clock: Clock = monotonic) -> None:
        self._outbound = outbound
        self._cache = Cache(self._fetch, LIFETIME, clock)

    async def candidates(self, provider: Provider, key_id: str | None) -> Sequence[SigningKey]:
        """Return the keys with this id, or the only key if a token names none. Raises ProviderError."""
        found = _with_id(await self._cache.get(provider.jwks_uri), key_id)
        if found or key_id is None:
            return found
        return _with_id(await self._cache.renew(provider.jwks_uri, RENEWAL_PAUSE), key_id)

    async def _fetch(self, url: str) -> tuple[SigningKey, ...]:
        listed = (await get_object(self._outbound, url, MAX_DOCUMENT)).get("keys")
        if not isinstance(listed, list):
            raise failure(ProviderFailure.MALFORMED, url, "did not answer with a set of keys")
        return usable_keys(listed)


def usable_keys(listed: Sequence[object]) -> tuple[SigningKey, ...]:
    """Return those of the first MAX_KEYS keys that can check signatures. All others are ignored (RFC 7517, 5)."""
    found = (_usable(one) for one in listed[:MAX_KEYS] if isinstance(one, dict))
    return tuple(key for key in found if key is not None)


def _with_id(keys: Sequence[SigningKey], key_id: str | None) -> Sequence[SigningKey]:
    if key_id is None:
        return keys if len(keys) == 1 else ()
    return [key for key in keys if key.id == key_id]


def _usable(jwk: Mapping[str, Any]) -> SigningKey | None:
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = _imported(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None if key is None else SigningKey(jwk.get("kid"), jwk.get("alg"), key)


def _imported(jwk: Mapping[str, Any]) -> PublicKey | None:
    """Import the public part of a key; None for every other kind, above all for symmetric keys."""
    kind = jwk.get("kty")
    if kind == "RSA" and _fits(jwk):
        return RSAKey.import_key(_only(jwk, "n", "e"))
    if kind == "EC" and jwk["crv"] in _CURVES["EC"]:
        return ECKey.import_key(_only(jwk, "crv", "x", "y"))
    if kind == "OKP" and jwk["crv"] in _CURVES["OKP"]:
        return OKPKey.import_key(_only(jwk, "crv", "x"))
    return None


def _only(jwk: Mapping[str, Any], *names: str) -> dict[str, str | list[str]]:
    return {name: jwk[name] for name in ("kty", *names)}


def _fits(jwk: Mapping[str, Any]) -> bool:
    modulus, exponent = _bits(jwk["n"]), _bits(jwk["e"])
    return MIN_RSA_BITS <= modulus <= MAX_RSA_BITS and exponent <= MAX_EXPONENT_BITS


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()
