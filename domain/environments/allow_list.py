"""The allow-list of an environment: what may run there although it is not as agreed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import NamedTuple
from uuid import UUID

from domain.environments.artifacts import Running
from domain.errors import Conflict, Invalid
from domain.identity.quotas import FixedLimit
from domain.patterns import MAX_MATCHING, BadPattern, cached_pattern

MAX_ENTRIES = 1_000
"""Effective entries of one environment."""
MAX_PATTERN = 500
"""Characters of a pattern, as in OpenFactstore."""
MAX_PATTERNS = 100
"""Effective entries of one environment that have a pattern: a name takes 1.5 microseconds for each of them."""
MAX_PROGRAM = 2_500
"""Instructions of all these patterns, one for each character of plain text. The worst pattern takes a microsecond for
each, with the worst name of 255 characters."""


class EntryStatus(StrEnum):
    """Whether an entry was removed."""

    ACTIVE = "ACTIVE"
    REMOVED = "REMOVED"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to add. At least one of `digest`, `name` and `pattern` is needed.

    It allows every artifact with the digest, with exactly this name, or in whose name the pattern of RE2 is found.
    `claimed_by` is the approver that the request names: shown, never trusted. Without `expires_at` it holds until it
    is removed.
    """

    reason: str
    digest: str | None = None
    name: str | None = None
    pattern: str | None = None
    claimed_by: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AllowListEntry:
    """An entry with what became of it.

    `approver` is the claimed approver, or else the name of the principal that added it. `first_used_at` is when it
    first let something through.
    """

    id: UUID
    org_id: UUID
    environment_id: UUID
    digest: str | None
    name: str | None
    pattern: str | None
    reason: str
    approver: str
    created_at: datetime
    expires_at: datetime | None
    removed_at: datetime | None
    first_used_at: datetime | None

    @property
    def status(self) -> EntryStatus:
        """Whether it was removed."""
        return EntryStatus.ACTIVE if self.removed_at is None else EntryStatus.REMOVED

    def effective_at(self, time: datetime) -> bool:
        """Whether it lets artifacts through: it was not removed, and expires later than at this time."""
        return self.removed_at is None and (self.expires_at is None or time < self.expires_at)


class NewUse(NamedTuple):
    """An artifact that an entry lets through."""

    environment_id: UUID
    entry_id: UUID
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Use:
    """An artifact that an entry let through, and when it did so for the first time."""

    id: UUID
    entry_id: UUID
    name: str
    digest: str
    created_at: datetime


def check_entry(new: NewEntry, now: datetime) -> None:
    """Raise Invalid for an entry that allows nothing, has a pattern that cannot be used, or is expired already."""
    if new.digest is None and new.name is None and new.pattern is None:
        raise Invalid.of("sha256", "say what to allow: sha256, artifactName or namePattern")
    if new.expires_at is not None and new.expires_at <= now:
        raise Invalid.of("expiresAt", "must be in the future")
    if new.pattern is not None:
        try:
            cached_pattern(new.pattern)
        except BadPattern as error:
            raise Invalid.of("namePattern", f"is a pattern {error}") from error


def check_room(effective: Sequence[AllowListEntry], new: NewEntry) -> None:
    """Raise Conflict when an environment with these entries cannot have another one."""
    _check(len(effective) < MAX_ENTRIES, f"has at most {MAX_ENTRIES} effective entries")
    if new.pattern is not None:
        patterns = [new.pattern, *(one.pattern for one in effective if one.pattern is not None)]
        _check(len(patterns) <= MAX_PATTERNS, f"has at most {MAX_PATTERNS} effective entries with a pattern")
        program = sum(cached_pattern(one).programsize for one in patterns)
        _check(program <= MAX_PROGRAM, f"has patterns that compile to at most {MAX_PROGRAM} instructions together")


def _check(fits: bool, rule: str) -> None:  # noqa: FBT001 - an assertion
    if not fits:
        message = f"The allow-list of an environment {rule}; remove an entry first."
        raise Conflict(message, "state", limit=FixedLimit.ALLOWLIST_ENTRIES)


def matching(effective: Iterable[AllowListEntry], artifacts: Collection[Running]) -> Mapping[Running, AllowListEntry]:
    """Return the artifacts that are allowed, each with the entry that allows it.

    That is the first one with its digest, or else the first one with its name, or else the first one whose pattern is
    found in its name. If there are more names than the patterns can be tried for, the last ones are not allowed.
    """
    digests: dict[str, AllowListEntry] = {}
    names: dict[str, AllowListEntry] = {}
    patterns = []
    for entry in effective:
        if entry.digest is not None:
            digests.setdefault(entry.digest, entry)
        if entry.name is not None:
            names.setdefault(entry.name, entry)
        if entry.pattern is not None:
            patterns.append((cached_pattern(entry.pattern), entry))
    most = MAX_MATCHING // max(1, sum(pattern.programsize for pattern, _ in patterns))
    tried = set(sorted({one.name for one in artifacts})[:most])

    @cache
    def by_pattern(name: str) -> AllowListEntry | None:
        return next((entry for pattern, entry in patterns if name in tried and pattern.search(name)), None)

    found = {one: digests.get(one.digest) or names.get(one.name) or by_pattern(one.name) for one in artifacts}
    return {artifact: entry for artifact, entry in found.items() if entry is not None}
