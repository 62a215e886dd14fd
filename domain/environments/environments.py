"""Environments: where artifacts run, and which of them an environment is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from domain.errors import Invalid
from domain.patterns import BadPattern, cached_pattern

MAX_FILTERS = 100
"""Names or patterns in one list of a scope."""
MAX_PROGRAM = 2_500
"""Instructions of all patterns of a scope; matching a name may take a microsecond for each thousand."""


class EnvironmentKind(StrEnum):
    """Whether artifacts run in an environment, or it sums up others."""

    PHYSICAL = "physical"
    LOGICAL = "logical"


class EnvironmentType(StrEnum):
    """What reports an environment."""

    K8S = "k8s"
    ECS = "ecs"
    LAMBDA = "lambda"
    S3 = "s3"
    DOCKER = "docker"
    GENERIC = "generic"


UNFILTERED = frozenset({EnvironmentType.S3, EnvironmentType.GENERIC})
"""Types whose snapshots have everything that is reported."""
FILTERED_BY_NAME = frozenset({EnvironmentType.DOCKER})
"""Types whose scope takes names, but no patterns."""


class DriftStatus(StrEnum):
    """Whether what runs is what the baseline approves."""

    IN_SYNC = "IN_SYNC"
    DRIFTED = "DRIFTED"


class DriftPolicy(StrEnum):
    """What drift from the baseline does: tell people, also close the gate, or only be reported."""

    WARN = "WARN"
    BLOCK = "BLOCK"
    IGNORE = "IGNORE"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which artifacts of an environment count, by name. Without anything to include, all are included."""

    include_names: Sequence[str] = ()
    include_patterns: Sequence[str] = ()
    exclude_names: Sequence[str] = ()
    exclude_patterns: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def admits(self, name: str) -> bool:
        """Whether artifacts of this name count. Exclusion wins."""
        included = not (self.include_names or self.include_patterns) or _found(
            name, self.include_names, self.include_patterns
        )
        return included and not _found(name, self.exclude_names, self.exclude_patterns)

    @property
    def program(self) -> int:
        """The number of instructions of all patterns."""
        return sum(cached_pattern(text).programsize for text in (*self.include_patterns, *self.exclude_patterns))

    def of_type(self, environment_type: EnvironmentType) -> "Scope":
        """Return what the scope means for an environment of this type."""
        if environment_type in UNFILTERED:
            return Scope()
        if environment_type in FILTERED_BY_NAME:
            return Scope(include_names=self.include_names, exclude_names=self.exclude_names)
        return self


def check_scope(scope: Scope) -> None:
    """Raise Invalid, naming the list, for a pattern that cannot be used, and for too many names or patterns."""
    program = 0
    for one in fields(scope):
        kind, _, what = one.name.partition("_")
        texts, field = getattr(scope, one.name), f"scope.{kind}.{what}"
        if len(texts) > MAX_FILTERS:
            raise Invalid.of(field, f"has more than {MAX_FILTERS} entries")
        if what == "patterns":
            program += sum(_program(field, text) for text in texts)
    if program > MAX_PROGRAM:
        raise Invalid.of("scope", f"has patterns that compile to more than {MAX_PROGRAM} instructions together")


def _program(field: str, text: str) -> int:
    try:
        return int(cached_pattern(text).programsize)
    except BadPattern as error:
        raise Invalid.of(field, f"has a pattern {error}") from error


def _found(name: str, names: Sequence[str], patterns: Sequence[str]) -> bool:
    return name in names or any(cached_pattern(text).fullmatch(name) is not None for text in patterns)


@dataclass(frozen=True, slots=True)
class NewEnvironment:
    """An environment to create."""

    name: str
    type: EnvironmentType
    description: str = ""
    drift_policy: DriftPolicy = DriftPolicy.WARN
    scope: Scope = Scope()
    stale_after: int | None = None


class EnvironmentChange(TypedDict, total=False):
    """The fields of an environment to change; absent keys leave their fields unchanged."""

    name: str
    type: EnvironmentType
    description: str
    drift_policy: DriftPolicy
    scope: Scope
    stale_after: int | None


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment with its newest version, and what its reports did to it.

    `stale_after` is the number of minutes without a report after which it is stale, None for no limit. `last_n` is the
    number of its latest snapshot, 0 before the first one, and `last_artifacts` how many artifacts that has;
    `last_changed_at` is when something else ran for the last time. `stale_since` is set while it is known to be stale.
    `drift_status` is None until something was compared with a baseline. At `recheck_at` an entry of the allow-list
    expires that keeps an artifact from being drift.
    """

    id: UUID
    org_id: UUID
    name: str
    kind: EnvironmentKind
    type: EnvironmentType
    version: int
    description: str
    drift_policy: DriftPolicy
    scope: Scope
    stale_after: int | None
    last_n: int
    last_artifacts: int
    last_reported_at: datetime | None
    last_changed_at: datetime | None
    stale_since: datetime | None
    drift_status: DriftStatus | None
    drifted_since: datetime | None
    recheck_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def blocks(self) -> bool:
        """Whether drift closes the gate to it."""
        return self.drift_policy is DriftPolicy.BLOCK and self.drift_status is DriftStatus.DRIFTED

    def must_be_checked(self, now: datetime) -> bool:
        """Whether time alone may have made drift of what was none."""
        return self.recheck_at is not None and self.recheck_at <= now


def scope_columns(scope: Scope) -> Mapping[str, Any]:
    """Return a scope as the columns that hold it."""
    return {one.name: list(getattr(scope, one.name)) for one in fields(scope)}
