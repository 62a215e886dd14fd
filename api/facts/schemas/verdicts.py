"""Verdicts on the wire (ARCHITECTURE.md 2, rule 7)."""

from collections.abc import Mapping
from typing import Any, Self
from uuid import UUID

from api.http.paging import ListQuery
from api.http.texts import Short
from api.http.wire import Instant, WireModel, shows
from domain.facts.verdicts import Verdict
from storage.facts.queries.verdicts import Recomputation


class VerdictsQuery(ListQuery):
    """Which verdicts: of a flow, of an artifact, or all."""

    flow_id: UUID | None = None
    sha256_digest: Short | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """What the query is narrowed to."""
        return {"flow_id": self.flow_id, "digest": self.sha256_digest}


class VerdictOut(WireModel):
    """A verdict as it was kept: the answer, its reasons, and everything it was found from."""

    id: UUID
    kind: str
    flow_id: UUID | None
    trail_id: UUID | None
    environment_id: UUID | None
    sha256_digest: str = shows("digest")
    outcome: str
    inputs: dict[str, Any]
    result: dict[str, Any]
    created_at: Instant


class RecomputationOut(WireModel):
    """A verdict found anew from the facts it names. `confirmed` when nothing differs."""

    verdict_id: UUID
    confirmed: bool
    outcome: str
    recomputed_outcome: str | None
    differences: list[str]

    @classmethod
    def compared(cls, verdict: Verdict, found: Recomputation) -> Self:
        """Against the verdict as it was kept."""
        return cls(
            verdict_id=verdict.id,
            confirmed=not found.differences,
            outcome=verdict.outcome,
            recomputed_outcome=found.outcome,
            differences=found.differences,
        )
