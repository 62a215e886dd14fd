"""What assertions hand to the policies of flows, which the areas that know policies read."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.facts.assertions import Demands
from domain.facts.evaluation import Asked, Candidate
from domain.tenant import Tenant
from storage.database import Reader


@dataclass(frozen=True, slots=True)
class Asserted:
    """An artifact that is asserted, by its report on a trail that this transaction has locked.

    `asked` is what the flow requires, or, with `own_template`, what its trail does.
    """

    report_id: UUID
    flow_id: UUID
    flow_version: int
    trail_id: UUID
    own_template: bool
    candidate: Candidate
    asked: Asked


Policies = Callable[[Reader, Tenant, Mapping[int, Asserted]], Awaitable[Mapping[int, Demands]]]
"""Returns what policies demand of asserted artifacts, by the same keys; nothing for one to which no policy applies."""


async def demanding_nothing(
    _reader: Reader, _tenant: Tenant, _asserted: Mapping[int, Asserted]
) -> Mapping[int, Demands]:
    """Return what there is without policies."""
    return {}
