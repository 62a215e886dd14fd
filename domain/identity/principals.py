"""Principals: whoever acts."""

from dataclasses import dataclass
from uuid import UUID

from domain.identity.permissions import PrincipalKind


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """Somebody, or something, that acts. `id` is given by who must name it beforehand: the first administrator."""

    kind: PrincipalKind
    username: str
    role: str
    id: UUID | None = None
