"""The tenant: the first argument of every command and query."""

from dataclasses import dataclass, replace
from uuid import UUID

from domain.identity.scopes import Scopes


@dataclass(frozen=True, slots=True)
class Tenant:
    """The organisation whose rows a command or query may read and change.

    With `scopes`, those within them only: all others are treated as if they did not exist.
    """

    org_id: UUID
    org_slug: str
    scopes: Scopes | None = None

    @property
    def unscoped(self) -> "Tenant":
        """The tenant without scopes, for what needs no scope or was found to be within them."""
        return replace(self, scopes=None)
