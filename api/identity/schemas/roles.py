"""How roles are spelled: as OpenFactstore does, and those of ours that it does not have likewise."""

from enum import StrEnum
from typing import Self

from domain.identity.permissions import SPELLINGS


class RoleName(StrEnum):
    """A role in an organisation. `SERVICE_ACCOUNT` is the role `reporter`, which may be named by either."""

    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"
    SERVICE_ACCOUNT = "SERVICE_ACCOUNT"
    REPORTER = "REPORTER"
    DEVELOPER = "DEVELOPER"
    SNAPSHOTTER = "SNAPSHOTTER"
    AUDITOR = "AUDITOR"
    NONE = "NONE"

    @property
    def role(self) -> str:
        """The role as it is stored."""
        return SPELLINGS[self.value]

    @classmethod
    def of(cls, role: str) -> Self:
        """Return the spelling of a stored role."""
        return cls("SERVICE_ACCOUNT" if role == "reporter" else role.upper())


assert {name.value for name in RoleName} == SPELLINGS.keys()  # noqa: S101 - every role has a spelling
