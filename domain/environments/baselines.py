"""Baselines: the snapshot that somebody approved as what should run."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class NewBaseline:
    """A snapshot to approve; without `snapshot_id` the latest one.

    `claimed_by` is the approver that the request names: shown, never trusted.
    """

    environment_id: UUID
    snapshot_id: UUID | None = None
    claimed_by: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline; `archived_at` is when another one replaced it.

    `n` is the number of its snapshot. A baseline that was made before the first snapshot has none, and nothing is
    compared with it. `approver` is the claimed approver, or else the name of the principal that made it.
    """

    id: UUID
    org_id: UUID
    environment_id: UUID
    version: int
    snapshot_id: UUID | None
    n: int | None
    approver: str
    description: str | None
    created_at: datetime
    archived_at: datetime | None

    @property
    def is_active(self) -> bool:
        """Whether what runs is compared with this baseline."""
        return self.archived_at is None
