"""Message authentication codes for rows that whoever owns the database must not be able to make."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from enum import Enum
from functools import cached_property
from uuid import UUID

MAC_BYTES = 32
_LABEL = b"trailgate ledger mac"


class Purpose(Enum):
    """What a code is for; a code for one purpose is not valid for another."""

    EVENT = b"unsealed event"
    HEAD = b"ledger head"


class Authenticator:
    """Makes and checks codes with keys derived from the master keys: the first makes them, all are accepted.

    The codes are keyed BLAKE2b (RFC 7693). The keys are loaded when they are first needed, because a command that only
    reads must not create key files.
    """

    def __init__(self, load: Callable[[], Sequence[bytes]]) -> None:
        self._load = load

    @cached_property
    def _keys(self) -> tuple[bytes, ...]:
        return tuple(hmac.digest(key, _LABEL, "sha256") for key in self._load())

    def mac(self, purpose: Purpose, *parts: bytes) -> bytes:
        """Return the code of parts whose lengths are fixed by the purpose, MAC_BYTES long."""
        return _mac(self._keys[0], purpose, parts)

    def holds(self, mac: bytes, purpose: Purpose, *parts: bytes) -> bool:
        """Return whether the code was made here for these parts."""
        for key in self._keys:  # noqa: SIM110 - `any` over a generator would cost a third more
            if hmac.compare_digest(_mac(key, purpose, parts), mac):
                return True
        return False


def event_parts(org_id: UUID, event_id: UUID, leaf: bytes) -> tuple[bytes, ...]:
    """Return what the code of a waiting event covers."""
    return org_id.bytes, event_id.bytes, leaf


def _mac(key: bytes, purpose: Purpose, parts: Sequence[bytes]) -> bytes:
    return hashlib.blake2b(b"".join((purpose.value, *parts)), digest_size=MAC_BYTES, key=key).digest()
