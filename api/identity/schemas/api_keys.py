"""Request and response models of API keys."""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AliasChoices, Field

from api.http.calls import Call
from api.http.texts import Flag, Name
from api.http.wire import GrantIn, Instant, WireIn, WireModel, shows
from domain.errors import Invalid
from domain.identity.api_keys import ApiKey, NewApiKey
from domain.identity.permissions import Permission, PrincipalKind
from domain.identity.scopes import MAX_SCOPE_LENGTH, MAX_SCOPES, checked_scopes

MAX_DAYS = 3650
DAY = timedelta(days=1)
MAX_OVERLAP_HOURS = 24 * 30


class OwnerType(StrEnum):
    """Whose key it is."""

    USER = "USER"
    SERVICE_ACCOUNT = "SERVICE_ACCOUNT"

    @property
    def kind(self) -> PrincipalKind:
        """The kind of principal."""
        return "user" if self is OwnerType.USER else "service"

    @classmethod
    def of(cls, kind: str) -> Self:
        """Return the type of a principal of this kind."""
        return cls("USER" if kind == "user" else "SERVICE_ACCOUNT")


ScopeTexts = Annotated[
    list[Annotated[str, Field(max_length=MAX_SCOPE_LENGTH)]],
    Field(
        min_length=1,
        max_length=MAX_SCOPES,
        description="The limits: `flow:<id>`, `environment:<id>`, `repo:<name>`",
    ),
]


_LIMITS = ("scope", "permission", "ttl", "expir", "days", "breakglass")
"""What an unknown name contains, in lower case, if it means a limit."""


class KeyTermsIn(WireIn):
    """What a key may do and for how long. `name` is another name for `label`.

    Without `permissions` it may do all that its owner may, without `scopes` in the whole organisation, and without
    `ttlDays` it never expires. Of unknown fields, those are refused that may be a misspelt limit, such as `scope`.
    """

    model_config = {
        "extra": "allow",
        "json_schema_extra": {"examples": [{"label": "payments-ci", "ttlDays": 90}]},
    }

    label: Annotated[Name, Field(validation_alias=AliasChoices("label", "name"))]
    ttl_days: Annotated[
        int | None, Field(strict=True, ge=1, le=MAX_DAYS, description="Days of 24 hours until the key expires")
    ] = None
    permissions: Annotated[list[Permission] | None, Field(min_length=1, max_length=len(Permission))] = None
    scopes: ScopeTexts | None = None

    def to_command(self, owner_id: UUID, now: datetime) -> NewApiKey:
        """Return the input of the command. Raises Invalid for bad scopes, and for an unknown limit."""
        for name in self.model_extra or ():
            if any(limit in name.lower() for limit in _LIMITS):
                raise Invalid.of(name[:100], "is not a field of this request: give permissions, scopes or ttlDays")
        expires_at = None if self.ttl_days is None else now + self.ttl_days * DAY
        scopes = None if self.scopes is None else checked_scopes(self.scopes)
        return NewApiKey(owner_id, self.label, self.permissions, expires_at, scopes=scopes)


class ApiKeyIn(KeyTermsIn):
    """A new key for a member or a service account."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "ownerId": "0190a8c0-0000-7000-8000-000000000001",
                    "ownerType": "SERVICE_ACCOUNT",
                    "label": "payments-ci",
                    "ttlDays": 90,
                }
            ]
        }
    }

    owner_id: UUID
    owner_type: OwnerType
    break_glass: Annotated[Flag, Field(description="Also works while single sign-on is mandatory")] = False

    def to_command(self, owner_id: UUID, now: datetime) -> NewApiKey:
        """Return the input of the command."""
        if self.break_glass and (self.permissions is not None or self.scopes is not None):
            raise Invalid.of("breakGlass", "is for keys without permissions and scopes of their own")
        return replace(super().to_command(owner_id, now), break_glass=self.break_glass)


class KeyRotationIn(GrantIn):
    """How long the old key works beside its successor, so that its users can change over."""

    model_config = {"json_schema_extra": {"examples": [{"overlapHours": 24}]}}

    overlap_hours: Annotated[int, Field(strict=True, ge=0, le=MAX_OVERLAP_HOURS)] = 24

    @property
    def overlap(self) -> timedelta:
        """The same as a duration."""
        return timedelta(hours=self.overlap_hours)


class ApiKeyOut(WireModel):
    """An API key without its text. `ttlDays` is null unless the key was made for whole days."""

    id: UUID
    owner_id: UUID = shows("principal_id")
    owner_type: OwnerType
    label: str = shows("name")
    key_prefix: str = shows("prefix")
    is_active: bool
    permissions: list[str] | None
    scopes: list[str] | None
    created_at: Instant
    last_used_at: Instant | None
    ttl_days: int | None
    expires_at: Instant | None
    revoked_at: Instant | None
    break_glass: bool

    @classmethod
    def of(cls, record: ApiKey, call: Call) -> Self:
        """Return a key."""
        return cls.filled(record, **_further(record, call))


class CreatedKeyOut(ApiKeyOut):
    """A new API key. `plainTextKey` is shown only this once."""

    plain_text_key: str

    @classmethod
    def made(cls, record: ApiKey, text: str, call: Call) -> Self:
        """Return a key with its text."""
        return cls.filled(record, plain_text_key=text, **_further(record, call))


def _further(record: ApiKey, call: Call) -> dict[str, Any]:
    days, rest = divmod(record.expires_at - record.created_at, DAY) if record.expires_at else (None, None)
    return {
        "owner_type": OwnerType.of(record.owner_kind),
        "is_active": record.is_active(call.services.clock.now()),
        "ttl_days": None if rest else days,
        "break_glass": record.break_glass is True,
    }
