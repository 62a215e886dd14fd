"""What an artifact and a report of it are (facts.md 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from domain.audit.events import Actor


class ArtifactType(StrEnum):
    """What was fingerprinted."""

    FILE = "FILE"
    DIR = "DIR"
    DOCKER = "DOCKER"
    OCI = "OCI"


class ProvenanceStatus(StrEnum):
    """Whether it is known, and proven, where an artifact comes from (facts.md 6.4)."""

    NO_PROVENANCE = "NO_PROVENANCE"
    PROVENANCE_UNVERIFIED = "PROVENANCE_UNVERIFIED"
    PROVENANCE_VERIFIED = "PROVENANCE_VERIFIED"


class ReportKey(NamedTuple):
    """What makes two reports the same one."""

    trail_id: UUID
    digest: str
    name: str
    tag: str | None


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """An artifact as a build reports it on its trail.

    `digest` is spelled as `normalise_digest` spells it. `claimed_by` is who the body says reported it: shown, never
    trusted. `observed_at` None = now.
    """

    trail_id: UUID
    name: str
    digest: str
    actor: Actor
    tag: str | None = None
    registry: str | None = None
    artifact_type: ArtifactType | None = None
    git_commit: str | None = None
    build_url: str | None = None
    commit_url: str | None = None
    annotations: Mapping[str, str] | None = None
    claimed_by: str | None = None
    observed_at: datetime | None = None

    @property
    def key(self) -> ReportKey:
        """A second report of the same key is the first one again."""
        return ReportKey(self.trail_id, self.digest, self.name, self.tag)


@dataclass(frozen=True, slots=True)
class ArtifactReport:
    """A reported artifact. `reporter` is whom the report claims, else the name of the principal that sent it."""

    id: UUID
    org_id: UUID
    flow_id: UUID
    trail_id: UUID
    digest: str
    slot: str | None
    name: str
    tag: str | None
    registry: str | None
    artifact_type: str | None
    git_commit: str | None
    build_url: str | None
    commit_url: str | None
    annotations: dict[str, Any] | None
    reporter: str
    observed_at: datetime
    created_at: datetime
    provenance_status: ProvenanceStatus
