"""Principals: the users, services and systems that act."""

from dataclasses import dataclass
from uuid import UUID

from domain.identity.permissions import PrincipalKind


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """A principal to create. Set `id` only if it must be known beforehand, as for the first administrator."""

    kind: PrincipalKind
    username: str
    role: str
    id: UUID | None = None
