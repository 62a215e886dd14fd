"""Envelope encryption with AES-256-GCM: one data key per secret, wrapped by the master key."""

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
DATA_KEY_BYTES = 32
TAG_BYTES = 16
WRAPPED_BYTES = NONCE_BYTES + DATA_KEY_BYTES + TAG_BYTES
KEY_ID_LENGTH = 16


class Undecipherable(Exception):  # noqa: N818
    """A stored secret cannot be decrypted: wrong master key, or a row that was moved or altered."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as stored. `wrapped` is a nonce and the data key encrypted with the master key `key_id`."""

    key_id: str
    wrapped: bytes
    nonce: bytes
    data: bytes

    def packed(self) -> bytes:
        """Return all parts in one value, for a single column of another table."""
        return self.key_id.encode() + self.wrapped + self.nonce + self.data

    @classmethod
    def unpacked(cls, packed: bytes) -> "Sealed":
        """Split a value that `packed` made."""
        key_id, rest = packed[:KEY_ID_LENGTH], packed[KEY_ID_LENGTH:]
        wrapped, rest = rest[:WRAPPED_BYTES], rest[WRAPPED_BYTES:]
        return cls(key_id.decode("ascii", "replace"), wrapped, rest[:NONCE_BYTES], rest[NONCE_BYTES:])


def master_key_id(master_key: bytes) -> str:
    """Return the id of a master key, derived by a hash that does not reveal it."""
    return hashlib.sha256(b"trailgate master key\n" + master_key).hexdigest()[:KEY_ID_LENGTH]


class SecretCipher:
    """Encrypts with the first of the master keys, and decrypts with each.

    `binding` is associated data: table, row and purpose.
    """

    def __init__(self, master_keys: Sequence[bytes]) -> None:
        self._keys = {master_key_id(key): key for key in master_keys}
        self.key_id = master_key_id(master_keys[0])

    @property
    def key_ids(self) -> Collection[str]:
        """The ids of all master keys."""
        return self._keys.keys()

    def seal(self, plain: bytes, binding: bytes) -> Sealed:
        """Encrypt with a new data key."""
        data_key, nonce = os.urandom(DATA_KEY_BYTES), os.urandom(NONCE_BYTES)
        return Sealed(
            self.key_id, self._wrap(data_key, binding), nonce, AESGCM(data_key).encrypt(nonce, plain, binding)
        )

    def open(self, sealed: Sealed, binding: bytes) -> bytes:
        """Decrypt. Raises Undecipherable."""
        try:
            return AESGCM(self._unwrap(sealed, binding)).decrypt(sealed.nonce, sealed.data, binding)
        except (InvalidTag, ValueError) as error:  # ValueError: a truncated value has no nonce
            raise _undecipherable(sealed) from error

    def rewrap(self, sealed: Sealed, binding: bytes) -> Sealed:
        """Wrap the data key of a secret with the current master key. Raises Undecipherable."""
        return replace(sealed, key_id=self.key_id, wrapped=self._wrap(self._unwrap(sealed, binding), binding))

    def _wrap(self, data_key: bytes, binding: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._keys[self.key_id]).encrypt(nonce, data_key, binding)

    def _unwrap(self, sealed: Sealed, binding: bytes) -> bytes:
        master_key = self._keys.get(sealed.key_id)
        if master_key is None:
            raise _undecipherable(sealed)
        nonce, wrapped = sealed.wrapped[:NONCE_BYTES], sealed.wrapped[NONCE_BYTES:]
        try:
            return AESGCM(master_key).decrypt(nonce, wrapped, binding)
        except (InvalidTag, ValueError) as error:
            raise _undecipherable(sealed) from error


def _undecipherable(sealed: Sealed) -> Undecipherable:
    return Undecipherable(f"A secret of master key {sealed.key_id} cannot be decrypted.")
