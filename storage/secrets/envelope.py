"""Envelope encryption: a data key per secret, wrapped by a named master key (engineering.md 2.13)."""

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
    """A stored secret does not open: wrong master key, or a row that was swapped or altered."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored. `wrapped` is nonce and data key under the master key of that id."""

    key_id: str
    wrapped: bytes
    nonce: bytes
    data: bytes

    def packed(self) -> bytes:
        """All of it in one value, for a table that is not about secrets."""
        return self.key_id.encode() + self.wrapped + self.nonce + self.data

    @classmethod
    def unpacked(cls, packed: bytes) -> "Sealed":
        """The way back from `packed`."""
        key_id, rest = packed[:KEY_ID_LENGTH], packed[KEY_ID_LENGTH:]
        wrapped, rest = rest[:WRAPPED_BYTES], rest[WRAPPED_BYTES:]
        return cls(key_id.decode("ascii", "replace"), wrapped, rest[:NONCE_BYTES], rest[NONCE_BYTES:])


@dataclass(frozen=True, slots=True)
class SecretCipher:
    """Seals and opens with one master key. `binding` ties a ciphertext to its place: table, row and purpose."""

    master_key: bytes

    @property
    def key_id(self) -> str:
        """A name for the master key that tells nothing about it."""
        return hashlib.sha256(b"trailgate master key\n" + self.master_key).hexdigest()[:KEY_ID_LENGTH]

    def seal(self, plain: bytes, binding: bytes) -> Sealed:
        """Encrypt under a fresh data key."""
        data_key, wrap_nonce, nonce = os.urandom(DATA_KEY_BYTES), os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES)
        wrapped = wrap_nonce + AESGCM(self.master_key).encrypt(wrap_nonce, data_key, binding)
        return Sealed(self.key_id, wrapped, nonce, AESGCM(data_key).encrypt(nonce, plain, binding))

    def open(self, sealed: Sealed, binding: bytes) -> bytes:
        """Decrypt. Raises Undecipherable."""
        try:
            wrap_nonce, wrapped = sealed.wrapped[:NONCE_BYTES], sealed.wrapped[NONCE_BYTES:]
            data_key = AESGCM(self.master_key).decrypt(wrap_nonce, wrapped, binding)
            return AESGCM(data_key).decrypt(sealed.nonce, sealed.data, binding)
        except (InvalidTag, ValueError) as error:  # ValueError: what is cut off has no nonce
            raise Undecipherable(f"A secret sealed under master key {sealed.key_id} does not open.") from error
