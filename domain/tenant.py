"""The tenant: the first argument of every command and query."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Tenant:
    """The organisation whose rows a command or query may read and change."""

    org_id: UUID
    org_slug: str
