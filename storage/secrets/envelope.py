"""Envelope encryption with AES-256-GCM: one data key per secret, wrapped by the master key."""

import hashlib
import os
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class SecretCipher:
    """Encrypts and decrypts with one master key. `binding` is associated data: table, row and purpose."""

    master_key: bytes

    @property
    def key_id(self) -> str:
        """An id of the master key, derived by a hash that does not reveal it."""
        return hashlib.sha256(b"trailgate master key\n" + self.master_key).hexdigest()[:KEY_ID_LENGTH]

    def seal(self, plain: bytes, binding: bytes) -> Sealed:
        """Encrypt with a new data key."""
        data_key, wrap_nonce, nonce = os.urandom(DATA_KEY_BYTES), os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES)
        wrapped = wrap_nonce + AESGCM(self.master_key).encrypt(wrap_nonce, data_key, binding)
        return Sealed(self.key_id, wrapped, nonce, AESGCM(data_key).encrypt(nonce, plain, binding))

    def open(self, sealed: Sealed, binding: bytes) -> bytes:
        """Decrypt. Raises Undecipherable."""
        try:
            wrap_nonce, wrapped = sealed.wrapped[:NONCE_BYTES], sealed.wrapped[NONCE_BYTES:]
            data_key = AESGCM(self.master_key).decrypt(wrap_nonce, wrapped, binding)
            return AESGCM(data_key).decrypt(sealed.nonce, sealed.data, binding)
        except (InvalidTag, ValueError) as error:  # ValueError: a truncated value has no nonce
            raise Undecipherable(f"A secret of master key {sealed.key_id} cannot be decrypted.") from error
