"""Request and response models of users and members."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.texts import Flag, Name, Short
from api.http.wire import ChangeIn, Instant, WireIn, WireModel, shows
from api.identity.schemas.roles import RoleName
from domain.errors import Invalid
from domain.identity.principals import Member, NewUser, PersonalData, User, UserChange, normal_email

Email = Annotated[Short, Field(description="An e-mail address; upper and lower case are the same")]


class UserIn(WireIn):
    """A new user. The e-mail address cannot be changed."""

    model_config = {"json_schema_extra": {"examples": [{"email": "ada@example.com", "name": "Ada Lovelace"}]}}

    email: Email
    name: Name
    github_id: Name | None = None

    def to_command(self) -> NewUser:
        """Return the input of the command. Raises Invalid for a bad e-mail address."""
        return NewUser(normal_email(self.email), self.name, self.github_id)


class UserChangeIn(ChangeIn):
    """Changes to a user. An absent or null field keeps its value.

    With `isActive` false, the user's keys stop at once, in every organisation.
    """

    model_config = {"json_schema_extra": {"examples": [{"name": "Ada King"}, {"isActive": False}]}}

    name: Name | None = None
    github_id: Name | None = None
    is_active: Flag | None = None

    def to_command(self) -> UserChange:
        """Return the input of the command."""
        return UserChange(self.name, self.github_id, self.is_active)


class UserOut(WireModel):
    """A user."""

    id: UUID
    email: str | None
    name: str
    github_id: str | None
    is_active: bool
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, record: User, _call: Call) -> Self:
        """Return a user."""
        return cls.filled(record, is_active=record.disabled_at is None)


class PersonalDataOut(WireModel):
    """What names a user. `apiKeyLabels` are those of the user's keys, in every organisation."""

    user_id: UUID
    email: str | None
    name: str | None
    github_id: str | None
    api_key_labels: list[str] = shows("key_labels")

    @classmethod
    def of(cls, record: PersonalData, _call: Call) -> Self:
        """Return the personal data of a user."""
        return cls.filled(record)


class MemberIn(WireIn):
    """A new member: an existing user, by `email` or `userId`, and the role."""

    model_config = {
        "json_schema_extra": {"examples": [{"userId": "0190a8c0-0000-7000-8000-000000000001", "role": "MEMBER"}]}
    }

    email: Email | None = None
    user_id: UUID | None = None
    role: RoleName

    @property
    def address(self) -> str | None:
        """The e-mail address in normal form. Raises Invalid unless exactly one of `email` and `userId` is given."""
        if (self.email is None) == (self.user_id is None):
            raise Invalid.of("email", "give either email or userId")
        return None if self.email is None else normal_email(self.email)


class MemberChangeIn(WireIn):
    """A member's new role."""

    model_config = {"json_schema_extra": {"examples": [{"role": "VIEWER"}]}}

    role: RoleName


class MemberOut(WireModel):
    """A member of an organisation."""

    user_id: UUID
    email: str | None
    name: str
    role: RoleName
    is_active: bool
    joined_at: Instant

    @classmethod
    def of(cls, record: Member, _call: Call) -> Self:
        """Return a member."""
        return cls.filled(record, role=RoleName.of(record.role), is_active=record.disabled_at is None)
