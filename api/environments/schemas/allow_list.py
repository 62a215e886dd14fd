"""Request and response models of allow-lists."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AliasChoices, Field, StringConstraints

from api.http.calls import Call
from api.http.digests import Sha256
from api.http.paging import ListQuery
from api.http.texts import Name, OrBlank, Short
from api.http.wire import GrantIn, Instant, WireModel, shows
from domain.environments.allow_list import MAX_PATTERN, AllowListEntry, EntryStatus, NewEntry


class AllowListEntryIn(GrantIn):
    """What to allow, and why. At least one of `sha256`, `artifactName` and `namePattern` is needed.

    An artifact is allowed if one of them fits: its digest, its exact name, or a pattern of RE2 that is found anywhere
    in its name. `approvedBy` is returned as claimed, and is the caller unless given; the audit event names the
    authenticated caller. `sha256Digest` and `justification` are other names of `sha256` and `reason`.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "namePattern": "^registry\\.example\\.com/istio/",
                    "reason": "Sidecars are released by the platform team",
                    "approvedBy": "ada@example.com",
                },
                {
                    "sha256": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "reason": "Hotfix for incident 4711",
                    "expiresAt": "2999-01-31T12:00:00Z",
                },
            ]
        }
    }

    sha256: Annotated[OrBlank[Sha256], Field(validation_alias=AliasChoices("sha256", "sha256Digest"))] = None
    artifact_name: Annotated[OrBlank[Short], Field(description="The exact name")] = None
    name_pattern: Annotated[
        OrBlank[Annotated[str, StringConstraints(max_length=MAX_PATTERN)]],
        Field(description="A pattern of RE2, found anywhere in the name; `^` and `$` are its ends"),
    ] = None
    reason: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"\S")],
        Field(validation_alias=AliasChoices("reason", "justification")),
    ]
    approved_by: OrBlank[Name] = None
    expires_at: Annotated[Instant | None, Field(description="When it ceases to hold; null for never")] = None

    def to_command(self) -> NewEntry:
        """Return the input of the command."""
        return NewEntry(
            reason=self.reason,
            digest=self.sha256,
            name=self.artifact_name,
            pattern=self.name_pattern,
            claimed_by=self.approved_by,
            expires_at=self.expires_at,
        )


class AllowListEntryOut(WireModel):
    """An entry of an allow-list. It is effective until it expires or is removed.

    `firstUsedAt` is when it first let an artifact through that is not as agreed.
    """

    id: UUID
    environment_id: UUID
    sha256: str | None = shows("digest")
    artifact_name: str | None = shows("name")
    name_pattern: str | None = shows("pattern")
    reason: str
    approved_by: str = shows("approver")
    status: EntryStatus
    is_effective: bool
    created_at: Instant
    expires_at: Instant | None
    removed_at: Instant | None
    first_used_at: Instant | None

    @classmethod
    def of(cls, record: AllowListEntry, call: Call) -> Self:
        """Return the entry with whether it is effective now."""
        return cls.filled(record, is_effective=record.effective_at(call.services.clock.now()))


class AllowListQuery(ListQuery):
    """Filters of an allow-list."""

    effective: Annotated[
        bool | None, Field(description="true: what is allowed now; false: what was removed or has expired")
    ] = None


class UseOut(WireModel):
    """An artifact that an entry let through, and when it did so for the first time."""

    artifact_sha256: str = shows("digest")
    artifact_name: str = shows("name")
    first_used_at: Instant = shows("created_at")
