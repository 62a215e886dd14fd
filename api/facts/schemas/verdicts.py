"""Request and response models of verdicts."""

from collections.abc import Mapping
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import model_validator

from api.http.paging import ListQuery
from api.http.texts import Short
from api.http.wire import Instant, WireModel, shows
from domain.facts.verdicts import Verdict, VerdictKind
from storage.facts.queries.cited import Recomputation

_OUTCOMES = {VerdictKind.ASSERT: ("COMPLIANT", "NON_COMPLIANT"), VerdictKind.GATE: ("ALLOWED", "BLOCKED")}


class VerdictsQuery(ListQuery):
    """Filters of verdicts. A verdict must match all of them."""

    flow_id: UUID | None = None
    sha256_digest: Short | None = None
    kind: VerdictKind | None = None
    outcome: Literal["COMPLIANT", "NON_COMPLIANT", "ALLOWED", "BLOCKED"] | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.kind and self.outcome and self.outcome not in _OUTCOMES[self.kind]:
            raise ValueError(f"outcome is not one of kind {self.kind}: {', '.join(_OUTCOMES[self.kind])}")
        return self

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query: an outcome is of one kind only."""
        kind = self.kind if self.outcome is None else None
        return {"flow_id": self.flow_id, "digest": self.sha256_digest, "kind": kind, "outcome": self.outcome}


class VerdictOut(WireModel):
    """A stored verdict: the outcome, its reasons, and all inputs on which it is based."""

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
    """A verdict recomputed from its inputs. `confirmed` means that nothing differs."""

    verdict_id: UUID
    confirmed: bool
    outcome: str
    recomputed_outcome: str | None
    differences: list[str]

    @classmethod
    def compared(cls, verdict: Verdict, found: Recomputation) -> Self:
        """Compare the recomputation with the stored verdict."""
        return cls(
            verdict_id=verdict.id,
            confirmed=not found.differences,
            outcome=verdict.outcome,
            recomputed_outcome=found.outcome,
            differences=found.differences,
        )
