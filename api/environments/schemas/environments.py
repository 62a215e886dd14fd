"""Request and response models of environments."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self, cast
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.paging import EitherQuery
from api.http.texts import Long, Name, Short
from api.http.wire import ChangeIn, Instant, WireIn, WireModel, shows
from domain.environments.compliance import ComplianceState
from domain.environments.environments import (
    MAX_FILTERS,
    DriftPolicy,
    DriftStatus,
    EnvironmentChange,
    EnvironmentType,
    NewEnvironment,
    Scope,
)
from domain.patterns import MAX_PATTERN
from storage.environments.queries.compliance import JudgedEnvironment

_CHANGEABLE = ("name", "description", "drift_policy")
MAX_STALE_AFTER = 60 * 24 * 366
_StaleAfter = Annotated[
    int, Field(ge=0, le=MAX_STALE_AFTER, description="Minutes without a report until it is stale; 0 for no limit")
]


class EnvironmentTypeName(StrEnum):
    """The type of an environment as OpenFactstore spells it."""

    K8S = "K8S"
    ECS = "ECS"
    LAMBDA = "LAMBDA"
    S3 = "S3"
    DOCKER = "DOCKER"
    GENERIC = "GENERIC"

    @property
    def type(self) -> EnvironmentType:
        """The type as it is stored."""
        return EnvironmentType(self.value.lower())


assert {name.type for name in EnvironmentTypeName} == set(EnvironmentType)  # noqa: S101 - every type has a spelling


_Texts = Annotated[
    list[Annotated[str, Field(max_length=MAX_PATTERN)]],
    Field(max_length=MAX_FILTERS, description="Blank entries are left out"),
]


class FilterModel(WireIn):
    """Names, and patterns of RE2 that match the whole name."""

    model_config = {"extra": "forbid"}

    names: _Texts = []
    patterns: _Texts = []


class ScopeModel(WireIn):
    """Which artifacts count, by name; what is excluded wins. S3 and GENERIC ignore it, DOCKER ignores patterns."""

    model_config = {"extra": "forbid"}

    include: FilterModel = FilterModel()
    exclude: FilterModel = FilterModel()

    def to_scope(self) -> Scope:
        """Return the scope without blank entries."""
        return Scope(
            include_names=_filled(self.include.names),
            include_patterns=_filled(self.include.patterns),
            exclude_names=_filled(self.exclude.names),
            exclude_patterns=_filled(self.exclude.patterns),
        )


def _filled(texts: list[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if text.strip())


class EnvironmentIn(WireIn):
    """A new environment: a place where artifacts run."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"name": "production", "type": "K8S", "scope": {"exclude": {"patterns": ["istio-.*"]}}},
                {"name": "staging", "driftPolicy": "IGNORE"},
            ]
        }
    }

    name: Name
    type: EnvironmentTypeName = EnvironmentTypeName.GENERIC
    description: Long = ""
    drift_policy: DriftPolicy = DriftPolicy.WARN
    scope: ScopeModel | None = None
    stale_after_minutes: _StaleAfter = 0
    org_slug: Short | None = None

    def to_command(self) -> NewEnvironment:
        """Return the input of the command."""
        return NewEnvironment(
            name=self.name,
            type=self.type.type,
            description=self.description,
            drift_policy=self.drift_policy,
            scope=self.scope.to_scope() if self.scope else Scope(),
            stale_after=self.stale_after_minutes or None,
        )


class EnvironmentChangeIn(ChangeIn):
    """Changes to an environment. An absent field keeps its value, and so does null; an empty scope removes it."""

    model_config = {
        "json_schema_extra": {"examples": [{"driftPolicy": "BLOCK"}, {"scope": {"include": {"names": ["api"]}}}]}
    }

    name: Name | None = None
    type: EnvironmentTypeName | None = None
    description: Long | None = None
    drift_policy: DriftPolicy | None = None
    scope: ScopeModel | None = None
    stale_after_minutes: _StaleAfter | None = None

    def to_command(self) -> EnvironmentChange:
        """Return the input of the command."""
        given: dict[str, Any] = {name: value for name in _CHANGEABLE if (value := getattr(self, name)) is not None}
        if self.type is not None:
            given["type"] = self.type.type
        if self.scope is not None:
            given["scope"] = self.scope.to_scope()
        if self.stale_after_minutes is not None:
            given["stale_after"] = self.stale_after_minutes or None
        return cast("EnvironmentChange", given)


class EnvironmentOut(WireModel):
    """An environment. Its ETag is its version. `scope` is null when everything counts.

    `staleSince` is set while no report came for longer than `staleAfterMinutes`. `lastSnapshotIndex` is 0 before the
    first snapshot; `artifacts` counts the different ones of the latest. `driftStatus` is null until what runs was
    compared with a baseline. `deploymentsBlocked`: it drifted, and its `driftPolicy` is BLOCK. `complianceState` is the
    worst state of what runs now, by its flows and the policies of the environment, UNKNOWN if nothing does.
    """

    id: UUID
    name: str
    type: EnvironmentTypeName
    description: str
    org_slug: str
    drift_policy: DriftPolicy
    scope: ScopeModel | None
    stale_after_minutes: int
    stale_since: Instant | None
    drift_status: DriftStatus | None
    drifted_since: Instant | None
    deployments_blocked: bool = shows("blocks")
    last_snapshot_index: int = shows("last_n")
    artifacts: int = shows("last_artifacts")
    last_reported_at: Instant | None
    last_changed_at: Instant | None
    compliance_state: Annotated[
        ComplianceState | None,
        Field(description="The worst state of what runs now, UNKNOWN if nothing does; null if a list has too much"),
    ]
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, record: JudgedEnvironment, call: Call) -> Self:
        """Return the environment with its state and the slug of its organisation."""
        environment = record.environment
        return cls.filled(
            environment,
            type=EnvironmentTypeName(environment.type.value.upper()),
            scope=_shown(environment.scope) if environment.scope else None,
            stale_after_minutes=environment.stale_after or 0,
            compliance_state=record.state,
            org_slug=call.tenant.org_slug,
        )


def _shown(scope: Scope) -> ScopeModel:
    return ScopeModel(
        include=FilterModel(names=list(scope.include_names), patterns=list(scope.include_patterns)),
        exclude=FilterModel(names=list(scope.exclude_names), patterns=list(scope.exclude_patterns)),
    )


class EnvironmentsQuery(EitherQuery):
    """Filters of environments."""

    name: Annotated[Short | None, Field(description="The exact name")] = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"name": self.name}
