"""Verdicts on the wire (ARCHITECTURE.md 2, rule 7)."""

from typing import Any
from uuid import UUID

from api.http.paging import ListQuery
from api.http.texts import Short
from api.http.wire import Instant, WireModel
from domain.facts.verdicts import Verdict
from storage.facts.queries.verdicts import Recomputation


class VerdictsQuery(ListQuery):
    """Which verdicts: of a flow, of an artifact, or all."""

    flow_id: UUID | None = None
    sha256_digest: Short | None = None


class VerdictOut(WireModel):
    """A verdict as it was kept: the answer, its reasons, and everything it was found from."""

    id: UUID
    kind: str
    flow_id: UUID | None
    trail_id: UUID | None
    environment_id: UUID | None
    sha256_digest: str
    outcome: str
    inputs: dict[str, Any]
    result: dict[str, Any]
    created_at: Instant

    @classmethod
    def of(cls, verdict: Verdict) -> "VerdictOut":
        """Field by field."""
        return cls(
            id=verdict.id,
            kind=verdict.kind,
            flow_id=verdict.flow_id,
            trail_id=verdict.trail_id,
            environment_id=verdict.environment_id,
            sha256_digest=verdict.digest,
            outcome=verdict.outcome,
            inputs=verdict.inputs,
            result=verdict.result,
            created_at=verdict.created_at,
        )


class RecomputationOut(WireModel):
    """A verdict found anew from the facts it names. `confirmed` when nothing differs."""

    verdict_id: UUID
    confirmed: bool
    outcome: str
    recomputed_outcome: str | None
    differences: list[str]

    @classmethod
    def of(cls, verdict: Verdict, found: Recomputation) -> "RecomputationOut":
        """Against the verdict as it was kept."""
        return cls(
            verdict_id=verdict.id,
            confirmed=not found.differences,
            outcome=verdict.outcome,
            recomputed_outcome=found.outcome,
            differences=found.differences,
        )
