"""API keys: credentials that clients send as text and that are stored as hashes."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.identity.permissions import Permission, PrincipalKind

PREFIX = "tg_"
SHOWN = 11
"""Characters of a key that are stored in clear, so that people can tell keys apart: `tg_` and 8 of its 64 digits."""


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key to create. `permissions` None = all of its owner's; `text` None = a random key.

    `scopes` are in their stored form (`checked_scopes`), None for a key without a limit. A break-glass key of a person
    also works while single sign-on is mandatory.
    """

    principal_id: UUID
    name: str
    permissions: Collection[Permission] | None = None
    expires_at: datetime | None = None
    text: str | None = None
    break_glass: bool = False
    scopes: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key, without its text."""

    id: UUID
    org_id: UUID
    principal_id: UUID
    name: str
    prefix: str
    permissions: list[str] | None
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    owner_kind: PrincipalKind
    break_glass: bool | None

    def is_active(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def key_hash(text: str) -> bytes:
    """Hash a key for storage and look-up. Keys are random, so a single SHA-256 is enough."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def random_key() -> str:
    """Generate the text of a new key."""
    return PREFIX + secrets.token_hex(32)


def shown_prefix(text: str) -> str:
    """Return the part of a key to store in clear; nothing if a person chose the text."""
    return text[:SHOWN] if text.startswith(PREFIX) else ""
