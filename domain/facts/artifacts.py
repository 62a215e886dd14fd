"""Artifacts, as builds report them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from domain.audit.events import Actor


class ArtifactType(StrEnum):
    """The kind of artifact whose fingerprint was taken."""

    FILE = "FILE"
    DIR = "DIR"
    DOCKER = "DOCKER"
    OCI = "OCI"


class ProvenanceStatus(StrEnum):
    """Whether an artifact has provenance, and whether a signature verifies it."""

    NO_PROVENANCE = "NO_PROVENANCE"
    PROVENANCE_UNVERIFIED = "PROVENANCE_UNVERIFIED"
    PROVENANCE_VERIFIED = "PROVENANCE_VERIFIED"


class ReportKey(NamedTuple):
    """The fields that identify a report; a second report with the same key is a duplicate."""

    trail_id: UUID
    digest: str
    name: str
    tag: str | None


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """An artifact to record on a trail.

    `digest` is in the form of `normalise_digest`. `claimed_by` is the reporter that the request body names: shown,
    never trusted. `observed_at` None = now.
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
        """The key that identifies duplicates of this report."""
        return ReportKey(self.trail_id, self.digest, self.name, self.tag)


@dataclass(frozen=True, slots=True)
class ArtifactReport:
    """A recorded artifact. `reporter` is the claimed reporter, or else the name of the principal that sent it."""

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
