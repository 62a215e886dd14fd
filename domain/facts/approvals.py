"""Approvals as facts about a trail: how those that were requested ended, and what that says about an artifact."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Resolution(StrEnum):
    """How an approval ended that people decided."""

    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class ApprovalOutcome:
    """A decided approval of a trail. `id` is the approval's.

    `digest` is the artifact and `environment_id` the environment that it is limited to; None if it is not. `roles` are
    the roles and groups of those who approved; if the approval was overridden, those that it required as well.
    """

    id: UUID
    trail_id: UUID
    resolution: Resolution
    digest: str | None
    environment_id: UUID | None
    roles: tuple[str, ...]
    resolved_at: datetime

    def concerns(self, digest: str | None, environment_id: UUID | None) -> bool:
        """Whether it is about an artifact, or the trail as a whole if None, in an environment, or anywhere if None."""
        return self.digest in (None, digest) and self.environment_id in (None, environment_id)


class Standing(StrEnum):
    """Whether an approval was granted."""

    GRANTED = "GRANTED"
    REJECTED = "REJECTED"
    MISSING = "MISSING"


def standing(
    outcomes: Iterable[ApprovalOutcome],
    digest: str | None,
    environment_id: UUID | None = None,
    *,
    roles: Collection[str] = (),
) -> tuple[Standing, ApprovalOutcome | None]:
    """Return what the newest decided approval of the subject says, and that approval, if there is one.

    One that is limited to an environment says nothing about any other place, nor about all of them. Every one of
    `roles` must be that of somebody who approved.
    """
    concerning = [one for one in outcomes if one.concerns(digest, environment_id)]
    newest = max(concerning, key=lambda one: (one.resolved_at, one.id), default=None)
    if newest is None:
        return Standing.MISSING, None
    if newest.resolution is Resolution.REJECTED:
        return Standing.REJECTED, newest
    return (Standing.MISSING if lacking_roles(newest, roles) else Standing.GRANTED), newest


def lacking_roles(outcome: ApprovalOutcome, roles: Iterable[str]) -> list[str]:
    """Return those of the roles that nobody had who approved."""
    held = {role.casefold() for role in outcome.roles}
    return [role for role in roles if role.casefold() not in held]


def trail_standing(
    outcomes: Collection[ApprovalOutcome], digests: Collection[str], *, roles: Collection[str] = ()
) -> Standing:
    """Return what decided approvals say about a trail as a whole: the worst of what they say about its artifacts."""
    found = {standing(outcomes, digest, roles=roles)[0] for digest in digests or (None,)}
    return next(one for one in (Standing.REJECTED, Standing.MISSING, Standing.GRANTED) if one in found)


def shortcoming(found: Standing, newest: ApprovalOutcome | None, roles: Iterable[str]) -> str | None:
    """Say what is wrong with the approval that is required; None if it was granted."""
    if found is Standing.GRANTED:
        return None
    if newest is None:
        return "an approval is required and none was granted"
    if found is Standing.REJECTED:
        return f"the approval {newest.id} was rejected"
    return f"the approval {newest.id} lacks somebody with the role {', '.join(lacking_roles(newest, roles))}"
