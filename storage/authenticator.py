"""Message authentication codes for rows that whoever owns the database must not be able to make."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from hashlib import blake2b
from uuid import UUID

MAC_BYTES = 32
_LABEL = b"trailgate ledger mac"


class Purpose(Enum):
    """What a code is for, in at most 16 bytes; a code for one purpose is not valid for another."""

    EVENT = b"unsealed event"
    HEAD = b"ledger head"
    DELIVERY = b"delivery"
    INVITATION = b"invitation"


class Authenticator:
    """Makes and checks codes with keys derived from the master keys: the first makes them, all are accepted.

    The codes are keyed BLAKE2b (RFC 7693). The keys are loaded when they are first needed, because a command that only
    reads must not create key files.
    """

    def __init__(self, load: Callable[[], Sequence[bytes]]) -> None:
        self._load = load

    @cached_property
    def _begun(self) -> Mapping[Purpose, tuple[blake2b, ...]]:
        """A hash for each purpose and key that has consumed nothing but the key, to be copied for each code."""
        keys = [hmac.digest(key, _LABEL, "sha256") for key in self._load()]
        return {
            purpose: tuple(blake2b(digest_size=MAC_BYTES, key=key, person=purpose.value) for key in keys)
            for purpose in Purpose
        }

    def mac(self, purpose: Purpose, data: bytes) -> bytes:
        """Return the code of data, MAC_BYTES long."""
        return _digest(self._begun[purpose][0], data)

    def macs(self, purpose: Purpose, data: bytes) -> list[bytes]:
        """Return the code of data by every key, that of `mac` first: a code may be older than the current key."""
        return [_digest(begun, data) for begun in self._begun[purpose]]

    def holds(self, mac: bytes, purpose: Purpose, data: bytes) -> bool:
        """Return whether the code was made here for this data."""
        for begun in self._begun[purpose]:  # noqa: SIM110 - `any` over a generator would cost a third more
            if hmac.compare_digest(_digest(begun, data), mac):
                return True
        return False


def event_data(org_id: UUID, event_id: UUID, leaf: bytes) -> bytes:
    """Return what the code of a waiting event covers: 16, 16 and 32 bytes."""
    return org_id.bytes + event_id.bytes + leaf


def _digest(begun: blake2b, data: bytes) -> bytes:
    copy = begun.copy()
    copy.update(data)
    return copy.digest()
