"""Single sign-on: an organisation's identity provider (OpenID Connect), and who a person is according to it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from unicodedata import normalize
from urllib.parse import urlsplit
from uuid import UUID

from domain.errors import Forbidden, Invalid
from domain.identity.permissions import SPELLINGS
from domain.identity.principals import normal_email

SECRET_PURPOSE = "sso client secret"  # noqa: S105 - the name of a purpose
DEFAULT_ROLE = "viewer"
MAX_ENTRIES, MAX_TEXT, MAX_GROUPS = 500, 255, 5000

_ATTRIBUTES = {"email": "email", "name": "name", "role": "groups"}
_HIGHEST_FIRST = ("admin", "member", "developer", "reporter", "snapshotter", "auditor", "viewer", "none")


class SsoProvider(StrEnum):
    """The kind of provider. All are asked in the same way."""

    ENTRA_ID = "ENTRA_ID"
    OKTA = "OKTA"
    OIDC = "OIDC"


@dataclass(frozen=True, slots=True)
class SsoTerms:
    """What a configuration says, its secret apart. The mappings are texts that hold JSON objects, as on the wire.

    `default_role` is the role of those whom no group gives one. An empty `redirect_uris` permits the pages of this
    server only.
    """

    provider: SsoProvider
    issuer_url: str
    client_id: str
    attribute_mappings: str
    group_role_mappings: str
    default_role: str
    redirect_uris: tuple[str, ...]
    is_mandatory: bool


@dataclass(frozen=True, slots=True)
class SsoSettings:
    """A configuration to store. Without a `client_secret`, a stored one stays."""

    terms: SsoTerms
    client_secret: str | None


@dataclass(frozen=True, slots=True)
class SsoConfig:
    """A stored configuration; an organisation has at most one."""

    id: UUID
    org_id: UUID
    provider: SsoProvider
    issuer_url: str
    client_id: str
    client_secret_id: UUID | None
    attribute_mappings: str
    group_role_mappings: str
    default_role: str
    redirect_uris: tuple[str, ...]
    is_mandatory: bool
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def terms(self) -> SsoTerms:
        """What the configuration says, its secret apart."""
        return SsoTerms(**{one.name: getattr(self, one.name) for one in fields(SsoTerms)})

    def permits(self, redirect_uri: str, own_address: str) -> bool:
        """Whether the provider may send a person to this page after the sign-in."""
        if self.redirect_uris:
            return redirect_uri in self.redirect_uris
        return _origin(redirect_uri) == _origin(own_address)


@dataclass(frozen=True, slots=True)
class SsoPerson:
    """A person according to a verified id_token. `role` is None if the groups do not decide it.

    `groups` are those that the token names, in order; rules of approvals may ask for them.
    """

    issuer: str
    subject: str
    email: str
    name: str
    role: str | None
    groups: tuple[str, ...] = ()


def check_terms(terms: SsoTerms, *, http_allowed: bool) -> None:
    """Raise Invalid unless the provider and the pages are URLs, and the mappings JSON objects with known roles.

    With `http_allowed`, the provider may be reached by http, for private networks.
    """
    _check_url("issuerUrl", terms.issuer_url, {"https", "http"} if http_allowed else {"https"})
    for uri in terms.redirect_uris:
        check_page("redirectUris", uri)
    attributes = _mapping("attributeMappings", terms.attribute_mappings)
    if unknown := sorted(attributes.keys() - _ATTRIBUTES):
        raise Invalid.of(
            "attributeMappings", f"maps {', '.join(_ATTRIBUTES)} to claims; {unknown[0][:100]!r} is unknown"
        )
    for role in _mapping("groupRoleMappings", terms.group_role_mappings).values():
        if role.upper() not in SPELLINGS:
            raise Invalid.of(
                "groupRoleMappings", f"{role[:100]!r} is not a role: it must be one of {', '.join(SPELLINGS)}"
            )


def check_page(field: str, uri: str) -> None:
    """Raise Invalid unless a page to return to is an http(s) URL."""
    _check_url(field, uri, {"https", "http"})


def person_of(config: SsoConfig, issuer: str, subject: str, claims: Mapping[str, Any]) -> SsoPerson:
    """Return the person whom an id_token describes.

    Raises Invalid without an e-mail address, Forbidden for one that the provider has not verified, and if it left out
    the groups because there are too many.
    """
    names = _ATTRIBUTES | _mapping("attributeMappings", config.attribute_mappings)
    email = claims.get(names["email"])
    if not isinstance(email, str):
        raise Invalid(f"The identity provider sent no e-mail address in the claim '{names['email']}'.")
    if claims.get("email_verified", True) not in (True, "true"):
        raise Forbidden("The identity provider has not verified the e-mail address.")
    name = claims.get(names["name"])
    if normalize("NFKC", email) != email:
        raise Forbidden("The e-mail address contains characters that look like others.")
    address = normal_email(email)
    shown = name.strip()[:MAX_TEXT] if isinstance(name, str) and name.isprintable() else ""
    groups = tuple(sorted({group[:MAX_TEXT] for group in _texts(claims.get(names["role"])) if group}))
    return SsoPerson(issuer, subject, address, shown or address, _role(config, names["role"], claims), groups)


def _role(config: SsoConfig, claim: str, claims: Mapping[str, Any]) -> str | None:
    """Return the highest role that the groups give, else the default; None if the organisation maps no groups."""
    roles = _mapping("groupRoleMappings", config.group_role_mappings)
    if not roles:
        return None
    left_out = claims.get("_claim_names")
    if claim not in claims and isinstance(left_out, dict) and claim in left_out:
        raise Forbidden("The identity provider left out the groups, because there are too many: let it send app roles.")
    given = {SPELLINGS[roles[group].upper()] for group in _texts(claims.get(claim)) if group in roles}
    return next((role for role in _HIGHEST_FIRST if role in given), config.default_role)


def _texts(value: object) -> Collection[str]:
    return [one for one in value[:MAX_GROUPS] if isinstance(one, str)] if isinstance(value, list) else ()


def _mapping(field: str, text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or len(found) > MAX_ENTRIES:
        raise Invalid.of(field, f"must be the text of a JSON object with at most {MAX_ENTRIES} entries")
    if any(not isinstance(one, str) or not 0 < len(one) <= MAX_TEXT for one in found.values()):
        raise Invalid.of(field, f"must map each name to a text of 1 to {MAX_TEXT} characters")
    return found


def _check_url(field: str, text: str, schemes: Collection[str]) -> None:
    try:
        parts = urlsplit(text)
        fit = parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment
    except ValueError:
        fit = False
    if not fit or not text.isprintable() or " " in text:
        raise Invalid.of(field, f"must be an {' or '.join(sorted(schemes, reverse=True))} URL without a fragment")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
