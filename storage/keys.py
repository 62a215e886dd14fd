"""The keys an installation must keep: the master keys (secrets at rest) and the signing key (checkpoints).

Each is a setting or a file. A setting or file of master keys may name several: the first is the current one, the others
still open what was encrypted before a rotation. Public keys of earlier signing keys stand in a file of their own.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
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


def pem_of(public_key: bytes) -> str:
    """Return a public key as SPKI in PEM, the form that other tools read."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs checkpoints, and verdicts that travel, with Ed25519."""

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


def master_key_file(settings: Settings) -> Path:
    """Return the file of the master keys, one a line, the current one first."""
    return settings.keys_dir / "master.key"


def signing_key_file(settings: Settings) -> Path:
    """Return the file of the signing key."""
    return settings.keys_dir / "signing.key"


def trusted_keys_file(settings: Settings) -> Path:
    """Return the file of the public keys of earlier signing keys, one a line."""
    return settings.keys_dir / "trusted.keys"


def load_master_keys(settings: Settings) -> tuple[bytes, ...]:
    """Load the keys that wrap data keys: from the setting, else from their file, which the first start creates."""
    return _load(settings.master_key, master_key_file(settings))


def existing_master_keys(settings: Settings) -> tuple[bytes, ...] | None:
    """Return the master keys if they exist and are usable, otherwise None; never create one."""
    if settings.master_key is None and not master_key_file(settings).exists():
        return None
    try:
        return load_master_keys(settings)
    except (UnusableKey, OSError):
        return None


def load_signer(settings: Settings) -> Signer:
    """Load the checkpoint signer: from the setting, else from its file, which the first start creates."""
    return Signer(Ed25519PrivateKey.from_private_bytes(_load(settings.signing_key, signing_key_file(settings))[0]))


def load_trusted_keys(settings: Settings) -> Mapping[str, bytes]:
    """Load the public keys that checkpoints may be signed with, by id: never from the database, and creating nothing.

    They are that of the signing key, if there is one, and those of the setting and the file of trusted keys.
    """
    trusted: tuple[bytes, ...] = ()
    if settings.trusted_keys:
        trusted = _decoded(settings.trusted_keys.encode(), "A key in TRAILGATE_TRUSTED_KEYS", "Correct the variable.")
    if trusted_keys_file(settings).exists():
        trusted += _in_file(trusted_keys_file(settings))
    if settings.signing_key is not None or signing_key_file(settings).exists():
        trusted = (load_signer(settings).public_key, *trusted)
    return {key_id(public_key): public_key for public_key in trusted}


def _load(setting: SecretStr | None, path: Path) -> tuple[bytes, ...]:
    if setting is not None:
        return _decoded(setting.get_secret_value().encode(), "A key in the environment", "Correct the variable.")
    try:
        if not path.exists():
            create_key(path)
    except OSError as error:
        raise _unusable_file(path, error) from error
    return _in_file(path)


def _in_file(path: Path) -> tuple[bytes, ...]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _unusable_file(path, error) from error
    return _decoded(text, f"A key in {path}", "Restore the file from your copy.")


def _unusable_file(path: Path, error: OSError) -> UnusableKey:
    advice = "let the user who runs Trailgate read and write it, or set the key in the environment"
    return UnusableKey(f"{error.filename or path}: {error.strerror}: {advice}.")


def _decoded(text: bytes, what: str, advice: str) -> tuple[bytes, ...]:
    """Decode keys separated by blanks or commas; there must be one."""
    return tuple(_decode(one, what, advice) for one in text.replace(b",", b" ").split() or [b""])


def _decode(text: bytes, what: str, advice: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UnusableKey(f"{what} is not base64. {advice}") from error
    if len(key) != KEY_BYTES:
        raise UnusableKey(f"{what} has {len(key)} bytes; it must have {KEY_BYTES}. {advice}")
    return key


def create_key(path: Path) -> None:
    """Write a new key atomically: two processes that start together use the same key; a crash leaves no partial one."""
    draft = _drafted(path, [os.urandom(KEY_BYTES)])
    try:
        os.link(draft, path)  # fails when another process was first; then its key is used
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def add_trusted_key(settings: Settings, public_key: bytes) -> None:
    """Add a public key to the file of trusted keys, unless it is there."""
    file = trusted_keys_file(settings)
    known = _in_file(file) if file.exists() else ()
    if public_key not in known:
        write_keys(file, [*known, public_key])


def write_keys(path: Path, keys: Sequence[bytes]) -> None:
    """Replace the keys in a file atomically, one a line."""
    _drafted(path, keys).replace(path)


def _drafted(path: Path, keys: Sequence[bytes]) -> Path:
    """Write keys durably to a file beside the path, which only its owner can read; return that file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Not named by the process id: in containers it is the same after a crash, and for two that share the folder.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(base64.b64encode(key) + b"\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
