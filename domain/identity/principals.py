"""Principals: the users, service accounts, CI jobs and systems that act, and their membership of organisations."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from domain.errors import Invalid
from domain.identity.permissions import PrincipalKind
from domain.tenant import Tenant

DEFAULT_SERVICE_ROLE = "reporter"
"""The role of a service account unless another is given: what CI needs, and no more."""


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """A principal to create, with its role in the organisation; without a role it is no member.

    Set `id` only if it must be known beforehand, as for the first administrator. Without a `name`, it is an internal
    one, which is not listed.
    """

    kind: PrincipalKind
    username: str
    role: str | None
    id: UUID | None = None
    name: str | None = None
    description: str | None = None
    email: str | None = None
    github_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to create. `email` is normalised (`normal_email`)."""

    email: str
    name: str
    github_id: str | None = None


@dataclass(frozen=True, slots=True)
class UserChange:
    """A change of a person; None keeps a value. The e-mail address cannot change."""

    name: str | None = None
    github_id: str | None = None
    is_active: bool | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A person. `org_id` is the organisation that manages the account."""

    id: UUID
    org_id: UUID
    email: str | None
    name: str
    github_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What names a person. `key_labels` are those of the person's keys, in every organisation."""

    user_id: UUID
    email: str | None
    name: str | None
    github_id: str | None
    key_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewServiceAccount:
    """A service account to create."""

    name: str
    description: str | None = None
    role: str = DEFAULT_SERVICE_ROLE


@dataclass(frozen=True, slots=True)
class ServiceAccountChange:
    """A change of a service account; None keeps a value."""

    name: str | None = None
    description: str | None = None
    role: str | None = None
    is_active: bool | None = None


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account with its role."""

    id: UUID
    org_id: UUID
    name: str
    description: str | None
    role: str
    version: int
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """A person's membership of an organisation. `id` is that of the membership."""

    id: UUID
    user_id: UUID
    email: str | None
    name: str
    role: str
    version: int
    joined_at: datetime
    disabled_at: datetime | None


def service_username(tenant: Tenant, name: str) -> str:
    """Return the username of a service account or workload identity: unique, as slugs are and contain no slash."""
    return f"{tenant.org_slug}/{name}"


def normal_email(text: str) -> str:
    """Return an e-mail address in lower case and in normal form. Raises Invalid for anything else.

    The local part is lower-cased, too: RFC 5321 lets its case count, but no mail service in use does, and one person
    must not have two accounts.
    """
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise Invalid.of("email", f"is not an e-mail address: {error}") from error
    return found.normalized.lower()
