"""Evidence: the files that stand behind an attestation, kept here or referred to (facts.md 7.3)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.audit.events import Actor


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """A file as it is brought, or as it is said to lie elsewhere: then `external_url` says where.

    `digest` is `sha256:` and 64 lower-case hexadecimal digits, `size` in bytes, `name` for display only.
    """

    trail_id: UUID
    attestation_id: UUID
    digest: str
    name: str
    size: int
    media_type: str
    actor: Actor
    external_url: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A recorded file. Without an `external_url` its content is in the blob store."""

    id: UUID
    org_id: UUID
    attestation_id: UUID
    trail_id: UUID
    digest: str
    name: str
    size: int
    media_type: str
    external_url: str | None
    uploaded_by: UUID
    created_at: datetime
