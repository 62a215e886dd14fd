"""DSSE envelopes (DSSE 1.0.2): parse them, and find the registered key that signed them.

A Sigstore bundle (v0.1 to v0.3) counts as the envelope inside it. What else it contains, such as the certificate of a
signature without a key, is not trusted: only registered keys are.
Envelopes are untrusted text: whatever their content, only Unverifiable is raised.
"""

from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import orjson

from domain.errors import Invalid
from integrations.formats.dsse.keys import PublicKey, read_public_key

MAX_ENVELOPE = 1 << 20
"""Characters."""
MAX_SIGNATURES = 1000
"""Signatures that are read; further ones are ignored."""
MAX_TRIES_OF_KEY = 16
"""Verifications with one key, so that a thousand signatures with its id do not cost a thousand verifications."""
MAX_TRIES = 256
"""Verifications in all: more than two for each of the keys that an organisation may have."""

_STANDARD = str.maketrans("-_", "+/", " \t\r\n")
_BUNDLE = "application/vnd.dev.sigstore.bundle"
"""The beginning of all media types of Sigstore bundles."""


class Unverifiable(Exception):  # noqa: N818 - an outcome: "raise Unverifiable"
    """The envelope or signature proves nothing. `reason` is for people, printable and short."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DsseSignature:
    """A base64 signature and the id of the key that allegedly made it; an empty id counts as None."""

    text: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class DsseEnvelope:
    """A parsed envelope, whose signatures are not verified yet. `bundled` means that it was in a Sigstore bundle."""

    payload_type: str
    payload: bytes
    signatures: tuple[DsseSignature, ...]
    bundled: bool = False


def read_envelope(text: str) -> DsseEnvelope:
    """Parse an envelope, or a bundle with one, from JSON.

    Raises Unverifiable, which says what is wrong; malformed entries of `signatures` are ignored.
    """
    value = _object(text)
    bundled = "dsseEnvelope" in value or "messageSignature" in value or _is_bundle(value.get("mediaType"))
    if bundled:
        value = _inside(value)
    payload_type, payload, signatures = (value.get(name) for name in ("payloadType", "payload", "signatures"))
    if not isinstance(payload_type, str):
        raise Unverifiable("The envelope has no payloadType.")
    if not isinstance(payload, str):
        raise Unverifiable("The envelope has no payload.")
    if not isinstance(signatures, list):
        raise Unverifiable("The envelope has no list of signatures.")
    decoded = read_base64(payload)
    if decoded is None:
        raise Unverifiable("The envelope's payload is not base64.")
    return DsseEnvelope(payload_type, decoded, tuple(_signatures(signatures)), bundled)


def _object(text: str) -> Mapping[str, Any]:
    if len(text) > MAX_ENVELOPE:
        raise Unverifiable(f"The envelope has more than {MAX_ENVELOPE} characters.")
    try:
        value: Any = orjson.loads(text)
    except ValueError as error:
        raise Unverifiable("The envelope is not JSON.") from error
    if not isinstance(value, dict):
        raise Unverifiable("The envelope is not a JSON object.")
    return value


def _is_bundle(media_type: Any) -> bool:
    return isinstance(media_type, str) and media_type.startswith(_BUNDLE)


def _inside(bundle: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the DSSE envelope of a Sigstore bundle."""
    envelope = bundle.get("dsseEnvelope")
    if isinstance(envelope, dict):
        return envelope
    if "messageSignature" in bundle:
        raise Unverifiable("The envelope is a Sigstore bundle with a messageSignature, which states no provenance.")
    raise Unverifiable("The envelope is a Sigstore bundle without a dsseEnvelope.")


def _signatures(entries: Sequence[Any]) -> Iterator[DsseSignature]:
    for entry in islice(entries, MAX_SIGNATURES):
        match entry:
            case {"sig": str(text), "keyid": str(key_id)}:
                yield DsseSignature(text, key_id or None)
            case {"sig": str(text)}:
                yield DsseSignature(text)


def read_base64(text: str) -> bytes | None:
    """Decode base64 in the standard or the URL-safe alphabet, wrapped or not, padding optional; None if it is not."""
    standard = text.translate(_STANDARD).rstrip("=")
    try:
        return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:
        return None


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the signed bytes: DSSE's pre-authentication encoding, with lengths in bytes of UTF-8."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class KnownKey(Protocol):
    """A public key that somebody vouches for: `key_id` is its id in signatures, `public_key` its SPKI PEM."""

    @property
    def id(self) -> Hashable: ...  # noqa: D102 - each key has its own

    @property
    def key_id(self) -> str: ...  # noqa: D102

    @property
    def public_key(self) -> str: ...  # noqa: D102


K = TypeVar("K", bound=KnownKey)


def find_signer(message: bytes, signatures: Sequence[DsseSignature], keys: Sequence[K]) -> K | None:
    """Return the key of the first valid signature, or None.

    A signature with a key id is checked only with the keys of that id or fingerprint, one without with every key;
    signatures with a key id come first. The number of verifications is limited, whatever the envelope contains.
    """
    known = _readable(keys)
    named = _by_name(known)
    tries: Counter[Hashable] = Counter()
    for signature in sorted(signatures, key=lambda one: one.key_id is None):
        decoded = read_base64(signature.text)
        for key, public_key in known if signature.key_id is None else named.get(signature.key_id, ()):
            if decoded is None or tries[key.id] == MAX_TRIES_OF_KEY:
                continue
            if tries.total() == MAX_TRIES:
                return None
            tries[key.id] += 1
            if public_key.verifies(message, decoded):
                return key
    return None


def _readable(keys: Sequence[K]) -> list[tuple[K, PublicKey]]:
    """Parse the stored keys, and skip those that can no longer be read."""
    known: list[tuple[K, PublicKey]] = []
    for key in keys:
        try:
            known.append((key, read_public_key(key.public_key)))
        except Invalid:
            continue
    return known


def _by_name(known: Sequence[tuple[K, PublicKey]]) -> dict[str, list[tuple[K, PublicKey]]]:
    named: defaultdict[str, list[tuple[K, PublicKey]]] = defaultdict(list)
    for key, public_key in known:
        for name in {key.key_id, public_key.fingerprint}:
            named[name].append((key, public_key))
    return named
