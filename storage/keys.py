"""The two keys an installation must keep: the master key (secrets at rest) and the signing key (checkpoints)."""

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import SecretStr

from domain.audit.ledger import KEY_NAME
from storage.settings import Settings

KEY_BYTES = 32
_ED25519 = b"\x01"  # the algorithm byte of the C2SP signed note


class UnusableKey(Exception):  # noqa: N818 - ends the start-up with its message
    """The key in the environment or on disk cannot be used."""


def key_id(public_key: bytes) -> str:
    """Return the 4-byte key hash of the C2SP signed note, as 8 hex digits."""
    return hashlib.sha256(KEY_NAME.encode() + b"\n" + _ED25519 + public_key).digest()[:4].hex()


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs checkpoints with Ed25519."""

    private_key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """The raw 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        """The id by which signatures name this key."""
        return key_id(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self.private_key.sign(data)


def signature_holds(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the signature was made with the private key of this public key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def load_master_key(settings: Settings) -> bytes:
    """Load the key that wraps data keys: from the setting, else from its file, which the first start creates."""
    return _load(settings.master_key, settings.keys_dir / "master.key")


def load_signer(settings: Settings) -> Signer:
    """Load the checkpoint signer: from the setting, else from its file, which the first start creates."""
    seed = _load(settings.signing_key, settings.keys_dir / "signing.key")
    return Signer(Ed25519PrivateKey.from_private_bytes(seed))


def _load(setting: SecretStr | None, path: Path) -> bytes:
    if setting is not None:
        return _decode(setting.get_secret_value(), "The key in the environment")
    if not path.exists():
        _create(path)
    return _decode(path.read_text().strip(), f"The key in {path}")


def _decode(text: str, what: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UnusableKey(f"{what} is not base64.") from error
    if len(key) != KEY_BYTES:
        raise UnusableKey(f"{what} has {len(key)} bytes; it must have {KEY_BYTES}.")
    return key


def _create(path: Path) -> None:
    """Write a new key atomically: two processes that start together use the same key; a crash leaves no partial one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails when another process was first; then its key is used
    except FileExistsError:
        pass
    finally:
        draft.unlink()
