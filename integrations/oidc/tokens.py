"""Verification of tokens that an identity provider signed: id tokens of people and tokens of CI jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hmac import compare_digest
from typing import Any

import orjson
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry, deserialize_compact
from joserfc.util import urlsafe_b64decode

from domain.errors import Unauthenticated
from integrations.oidc.discovery import Provider
from integrations.oidc.keys import KeySets, SigningKey

MAX_TOKEN = 16 * 1024
MAX_HEADER = 2 * 1024
MAX_TEXT = 255
"""Characters of a subject and of a key id."""
LEEWAY = timedelta(seconds=60)
"""How far the provider's clock may be ahead of ours."""
MAX_AGE = timedelta(hours=24)

ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures by a private key only: never `none`, and never HS*, whose key would be the public one."""

_PARTS = 3
_LAST_TIME = 253402300799
"""The last second of the year 9999."""


class TokenFault(StrEnum):
    """Why a token is not accepted: a label for metrics and logs, never for the sender."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    CRITICAL_HEADER = "critical_header"
    UNKNOWN_KEY = "unknown_key"
    UNFIT_KEY = "unfit_key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    TOO_OLD = "too_old"
    NONCE = "nonce"
    SUBJECT = "subject"
    CLAIMS = "claims"
    UNTRUSTED_ISSUER = "untrusted_issuer"
    NO_IDENTITY = "no_identity"


class BadToken(Unauthenticated):
    """The token is not accepted (401). The message is always the same."""

    def __init__(self, reason: TokenFault) -> None:
        super().__init__("The token is not valid.")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `values` holds all claims, also those that have a field here."""

    issuer: str
    subject: str
    audience: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    values: Mapping[str, Any]


def issuer_of(token: str) -> str:
    """Return the issuer that a token names, only to choose the provider to verify it with. Raises BadToken."""
    _, payload = _parts(token)
    return _text(_object(payload).get("iss"), TokenFault.ISSUER)


def audience_of(token: str) -> tuple[str, ...]:
    """Return the audience that a token names, only to choose for whom to verify it. Raises BadToken."""
    _, payload = _parts(token)
    return _audience(_object(payload))


async def verify(
    token: str,
    provider: Provider,
    keys: KeySets,
    audience: str,
    now: datetime,
    *,
    nonce: str | None = None,
    max_age: timedelta = MAX_AGE,
) -> Claims:
    """Verify a token for `audience`; with a `nonce`, also that it belongs to this sign-in.

    Raises BadToken, and ProviderError if the keys cannot be fetched.
    """
    header, payload = _parts(token)
    algorithm, key_id = _header(header)
    signer = _fitting(await keys.candidates(provider, key_id), algorithm)
    _check_signature(token, signer)
    claims = _claims(_object(payload))
    if claims.issuer != provider.issuer:
        raise BadToken(TokenFault.ISSUER)
    _check_audience(claims, audience)
    _check_times(claims, now, max_age)
    if nonce is not None and not _same(claims.values.get("nonce"), nonce):
        raise BadToken(TokenFault.NONCE)
    return claims


def _parts(token: str) -> tuple[str, str]:
    """Return the encoded header and the encoded payload of a token of permitted size."""
    if len(token) > MAX_TOKEN:
        raise BadToken(TokenFault.TOO_LARGE)
    parts = token.split(".")
    if len(parts) != _PARTS or not token.isascii():
        raise BadToken(TokenFault.MALFORMED)
    if len(parts[0]) > MAX_HEADER:
        raise BadToken(TokenFault.TOO_LARGE)
    return parts[0], parts[1]


def _object(part: str) -> dict[str, Any]:
    try:
        found = orjson.loads(urlsafe_b64decode(part.encode()))
    except ValueError:
        raise BadToken(TokenFault.MALFORMED) from None
    if not isinstance(found, dict):
        raise BadToken(TokenFault.MALFORMED)
    return found


def _header(part: str) -> tuple[str, str | None]:
    """Return algorithm and key id. `b64` changes what is signed, and must be critical; so it is refused with `crit`."""
    header = _object(part)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadToken(TokenFault.ALGORITHM)
    if "crit" in header or "b64" in header:
        raise BadToken(TokenFault.CRITICAL_HEADER)
    if "kid" not in header:
        return algorithm, None
    return algorithm, _text(header["kid"], TokenFault.UNKNOWN_KEY)


def _fitting(candidates: Sequence[SigningKey], algorithm: str) -> SigningKey:
    """Return the first key that fits the algorithm; a key that is for another algorithm does not."""
    if not candidates:
        raise BadToken(TokenFault.UNKNOWN_KEY)
    for one in candidates:
        if one.algorithm in (None, algorithm) and _fits(one, algorithm):
            return one
    raise BadToken(TokenFault.UNFIT_KEY)


def _fits(signer: SigningKey, algorithm: str) -> bool:
    try:
        _REGISTRY.get_alg(algorithm).check_key(signer.key)
    except JoseError:
        return False
    return True


class _Registry(JWSRegistry):
    """Our algorithms and sizes. joserfc's own warns of EdDSA at each use, because its name says no curve (RFC 9864)."""

    max_header_length = MAX_HEADER
    max_payload_length = MAX_TOKEN
    max_signature_length = MAX_TOKEN

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY = _Registry(strict_check_header=False)


def _check_signature(token: str, signer: SigningKey) -> None:
    try:
        deserialize_compact(token, signer.key, registry=_REGISTRY)
    except BadSignatureError:
        raise BadToken(TokenFault.SIGNATURE) from None
    except (JoseError, ValueError):
        raise BadToken(TokenFault.MALFORMED) from None


def _audience(values: Mapping[str, Any]) -> tuple[str, ...]:
    audience = values.get("aud")
    several = audience if isinstance(audience, list) else [audience]
    texts = tuple(one for one in several if isinstance(one, str))
    if len(texts) < len(several):
        raise BadToken(TokenFault.AUDIENCE)
    return texts


def _claims(values: Mapping[str, Any]) -> Claims:
    return Claims(
        issuer=_text(values.get("iss"), TokenFault.ISSUER),
        subject=_text(values.get("sub"), TokenFault.SUBJECT),
        audience=_audience(values),
        issued_at=_time(values.get("iat")),
        expires_at=_time(values.get("exp")),
        values=values,
    )


def _check_audience(claims: Claims, audience: str) -> None:
    """Check that a token is for us, and issued to us: it must say so if it is for others, too (Core, 3.1.3.7)."""
    party = claims.values.get("azp")
    issued_to_others = party != audience and (party is not None or len(claims.audience) > 1)
    if audience not in claims.audience or issued_to_others:
        raise BadToken(TokenFault.AUDIENCE)


def _check_times(claims: Claims, now: datetime, max_age: timedelta) -> None:
    if claims.expires_at <= now:
        raise BadToken(TokenFault.EXPIRED)
    begins = _time(claims.values["nbf"]) if "nbf" in claims.values else claims.issued_at
    if max(begins, claims.issued_at) > now + LEEWAY:
        raise BadToken(TokenFault.NOT_YET_VALID)
    if claims.issued_at < now - max_age:
        raise BadToken(TokenFault.TOO_OLD)


def _text(value: object, fault: TokenFault) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or "\0" in value:
        raise BadToken(fault)
    return value


def _time(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_TIME:
        raise BadToken(TokenFault.MALFORMED)
    return datetime.fromtimestamp(value, UTC)


def _same(value: object, expected: str) -> bool:
    return isinstance(value, str) and compare_digest(value.encode(errors="replace"), expected.encode())
