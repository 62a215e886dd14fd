"""Request and response models of deployments."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.paging import ListQuery
from api.http.wire import Instant, WireModel, shows


class DeploymentOut(WireModel):
    """An artifact that runs, or ran, in an environment. `removedAt` is null while it runs.

    `snapshotIndex` is the first snapshot with it, `removedSnapshotIndex` the first one without it. `replacedSha256` is
    the version whose place it took.
    """

    id: UUID
    environment_id: UUID
    artifact_sha256: str = shows("digest")
    artifact_name: str = shows("name")
    artifact_tag: str | None = shows("tag")
    replaced_sha256: str | None = shows("replaced")
    snapshot_index: int = shows("deployed_n")
    deployed_at: Instant
    removed_snapshot_index: int | None = shows("removed_n")
    removed_at: Instant | None


class DeploymentsQuery(ListQuery):
    """Filters of deployments."""

    running: Annotated[bool | None, Field(description="true: what runs now; false: what does not run any more")] = None
