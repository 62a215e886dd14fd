"""Evidence: the files that support an attestation, stored here or referenced by URL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.audit.events import Actor


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """An evidence file to record; `external_url` is set if it is stored elsewhere.

    `digest` is `sha256:` and 64 lower-case hexadecimal digits, `size` is in bytes, `name` is for display only.
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
