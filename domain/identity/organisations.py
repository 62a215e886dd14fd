"""What kinds of organisation there are (integrations.md 3)."""

from enum import StrEnum


class OrganisationType(StrEnum):
    """One person's, or many people's."""

    PERSONAL = "PERSONAL"
    SHARED = "SHARED"
