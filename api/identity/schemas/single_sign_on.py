"""Request and response models of single sign-on."""

from dataclasses import replace
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from api.http.calls import Call
from api.http.texts import Flag, Name, Text, Url
from api.http.wire import Instant, WireIn, WireModel
from api.identity.schemas.roles import RoleName
from domain.identity.sessions import Session
from domain.identity.single_sign_on import DEFAULT_ROLE, SsoConfig, SsoProvider, SsoTerms

MAX_PAGES = 50
RedirectUris = Annotated[
    list[Url], Field(max_length=MAX_PAGES, description="Pages to return to; empty = the pages of this server")
]
Mapping = Annotated[Text, Field(description="The text of a JSON object")]


class SsoConfigIn(WireIn):
    """The identity provider of an organisation. Both mappings are texts that hold a JSON object.

    `attributeMappings` names the claims of `email`, `name` and `role` (the groups); `groupRoleMappings` gives groups
    their roles. Without group mappings, roles are given by administrators. `defaultRole` is that of everybody else.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "provider": "OKTA",
                    "issuerUrl": "https://acme.okta.com",
                    "clientId": "0oa1b2c3",
                    "clientSecret": "a secret of the provider",
                    "groupRoleMappings": '{"Release managers": "MEMBER"}',
                }
            ]
        }
    }

    provider: SsoProvider
    issuer_url: Url
    client_id: Name
    client_secret: Name | None = None
    attribute_mappings: Mapping | None = None
    group_role_mappings: Mapping | None = None
    default_role: RoleName | None = None
    redirect_uris: RedirectUris | None = None
    is_mandatory: Flag | None = None

    def to_terms(self) -> SsoTerms:
        """Return what the configuration says, its secret apart."""
        return SsoTerms(
            provider=self.provider,
            issuer_url=self.issuer_url.rstrip("/"),
            client_id=self.client_id,
            attribute_mappings=self.attribute_mappings or '{"email":"email","name":"name"}',
            group_role_mappings=self.group_role_mappings or "{}",
            default_role=self.default_role.role if self.default_role else DEFAULT_ROLE,
            redirect_uris=tuple(self.redirect_uris or ()),
            is_mandatory=self.is_mandatory or False,
        )


class SsoConfigChangeIn(WireIn):
    """Changes to the configuration. An absent or null field keeps its value."""

    model_config = {"json_schema_extra": {"examples": [{"groupRoleMappings": '{"Auditors": "AUDITOR"}'}]}}

    provider: SsoProvider | None = None
    issuer_url: Url | None = None
    client_id: Name | None = None
    client_secret: Name | None = None
    attribute_mappings: Mapping | None = None
    group_role_mappings: Mapping | None = None
    default_role: RoleName | None = None
    redirect_uris: RedirectUris | None = None
    is_mandatory: Flag | None = None

    def onto(self, config: SsoConfig) -> SsoTerms:
        """Return what the changed configuration says, its secret apart."""
        given: dict[str, Any] = {
            "provider": self.provider,
            "issuer_url": self.issuer_url and self.issuer_url.rstrip("/"),
            "client_id": self.client_id,
            "attribute_mappings": self.attribute_mappings,
            "group_role_mappings": self.group_role_mappings,
            "default_role": self.default_role and self.default_role.role,
            "redirect_uris": None if self.redirect_uris is None else tuple(self.redirect_uris),
            "is_mandatory": self.is_mandatory,
        }
        return replace(config.terms, **{name: value for name, value in given.items() if value is not None})


class SsoConfigOut(WireModel):
    """The identity provider of an organisation. The client secret is never shown."""

    id: UUID
    org_slug: str
    provider: SsoProvider
    issuer_url: str
    client_id: str
    has_client_secret: bool
    attribute_mappings: str
    group_role_mappings: str
    default_role: RoleName
    redirect_uris: list[str]
    is_mandatory: bool
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, record: SsoConfig, call: Call) -> Self:
        """Return a configuration."""
        return cls.filled(
            record,
            org_slug=call.tenant.org_slug,
            has_client_secret=record.client_secret_id is not None,
            default_role=RoleName.of(record.default_role),
            redirect_uris=list(record.redirect_uris),
        )


class SsoTestOut(WireModel):
    """Whether the identity provider can be reached; if not, `message` says why and the endpoints are null."""

    success: bool
    message: str
    authorization_endpoint: str | None
    token_endpoint: str | None


class SignInQuery(BaseModel):
    """Where the provider shall send the person after the sign-in."""

    redirect_uri: Annotated[Url, Field(alias="redirectUri", examples=["https://portal.example.com/signed-in"])]


class SignInOut(WireModel):
    """Send the person to `loginUrl`. The provider returns them to the page of the request, with `state` and a code."""

    login_url: str
    state: str


class CallbackQuery(BaseModel):
    """What the provider added to the address of the page."""

    code: Annotated[str, Field(min_length=1, max_length=4096, examples=["a code of the provider"])]
    state: Annotated[str, Field(min_length=1, max_length=512, examples=["the state of the sign-in"])]


class SignedInOut(WireModel):
    """Who signed in. `token` is the session, to be sent as `Authorization: Bearer`; a browser has it as a cookie."""

    token: str
    user_id: UUID
    email: str | None
    name: str | None
    session_id: UUID
    expires_at: Instant

    @classmethod
    def made(cls, session: Session, token: str, name: str | None, email: str | None) -> Self:
        """Return the answer to a finished sign-in."""
        return cls(
            token=token,
            user_id=session.principal_id,
            email=email,
            name=name,
            session_id=session.id,
            expires_at=session.expires_at,
        )
