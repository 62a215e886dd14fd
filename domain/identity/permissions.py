"""Authorisation: roles, permissions, and the principal that holds them."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID

from domain.identity.scopes import Scopes


class Permission(StrEnum):
    """Every permission. A route requires exactly one, or is on the list of exempt routes."""

    FACTS_READ = "facts:read"
    FACTS_REPORT = "facts:report"
    FACTS_MANAGE = "facts:manage"
    ENVIRONMENTS_REPORT = "environments:report"
    POLICIES_MANAGE = "policies:manage"
    GATE_EVALUATE = "gate:evaluate"
    APPROVALS_DECIDE = "approvals:decide"
    APPROVALS_OVERRIDE = "approvals:override"
    EVIDENCE_READ = "evidence:read"
    EVIDENCE_WRITE = "evidence:write"
    AUDIT_READ = "audit:read"
    LEDGER_READ = "ledger:read"
    CHANGES_READ = "changes:read"
    CHANGES_UPDATE = "changes:update"
    CHANGES_EXECUTE = "changes:execute"
    SCANS_READ = "scans:read"
    SCANS_RUN = "scans:run"
    SCANS_MANAGE = "scans:manage"
    REPORTS_VIEW = "reports:view"
    REPORTS_UPLOAD = "reports:upload"
    REPORTS_MANAGE = "reports:manage"
    PROVENANCE_READ = "provenance:read"
    PROVENANCE_WRITE = "provenance:write"
    PROVENANCE_DELETE = "provenance:delete"
    IDENTITY_READ = "identity:read"
    IDENTITY_MANAGE = "identity:manage"
    INTEGRATIONS_MANAGE = "integrations:manage"
    ORG_MANAGE = "org:manage"
    KEYS_OWN = "keys:own"
    PROFILE_OWN = "profile:own"
    PLATFORM_MANAGE = "platform:manage"


P = Permission
_NAMES = frozenset(p.value for p in P)

_READS = frozenset(p for p in P if p.value.endswith(":read")) | {P.REPORTS_VIEW}
_VIEWER = _READS - {P.AUDIT_READ, P.IDENTITY_READ, P.EVIDENCE_READ}
_REPORTER = frozenset(
    {
        P.FACTS_READ,
        P.FACTS_REPORT,
        P.ENVIRONMENTS_REPORT,
        P.GATE_EVALUATE,
        P.EVIDENCE_WRITE,
        P.SCANS_RUN,
        P.REPORTS_UPLOAD,
        P.PROVENANCE_WRITE,
    }
)
_MEMBER = _READS | _REPORTER | {P.FACTS_MANAGE, P.APPROVALS_DECIDE, P.CHANGES_UPDATE, P.CHANGES_EXECUTE, P.KEYS_OWN}

PROFILE = frozenset({P.PROFILE_OWN})
"""What every role and every key may do: ask who it is, and see and end its own sessions."""

_GRANTED: dict[str, frozenset[Permission]] = {
    "admin": frozenset(P) - {P.PLATFORM_MANAGE},
    "member": _MEMBER,
    "developer": _READS | {P.REPORTS_UPLOAD},
    "reporter": _REPORTER,
    "snapshotter": frozenset({P.FACTS_READ, P.ENVIRONMENTS_REPORT}),
    "viewer": _VIEWER,
    "auditor": _VIEWER | {P.AUDIT_READ, P.LEDGER_READ, P.EVIDENCE_READ, P.IDENTITY_READ},
    "none": frozenset(),
}
ROLES = {role: granted | PROFILE for role, granted in _GRANTED.items()}
"""Permissions by role. `role_permissions` adds `platform:manage` for `admin` of the organisation `default`."""

SPELLINGS: dict[str, str] = {role.upper(): role for role in ROLES} | {"SERVICE_ACCOUNT": "reporter"}
"""Roles by their spelling in requests and answers: as OpenFactstore does, and those that it lacks likewise."""

DEFAULT_ORGANISATION = "default"


def role_permissions(role: str, organisation: str) -> frozenset[Permission]:
    """Return what a role grants inside the organisation with that slug; an unknown role grants nothing."""
    granted = ROLES.get(role, frozenset())
    if role == "admin" and organisation == DEFAULT_ORGANISATION:
        return granted | {P.PLATFORM_MANAGE}
    return granted


PrincipalKind = Literal["user", "service", "workload", "system"]
CredentialKind = Literal["api_key", "session", "workload"]


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of a request.

    `permissions` are the role's, already narrowed by the credential: a key never exceeds its owner. `scopes` are the
    resources that the credential is limited to.
    """

    id: UUID
    kind: PrincipalKind
    org_id: UUID
    org_slug: str
    role: str
    permissions: frozenset[Permission]
    credential_id: UUID | None = None
    credential_kind: CredentialKind | None = None
    scopes: Scopes | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the principal holds this permission."""
        return permission in self.permissions


def narrowed(granted: frozenset[Permission], key_permissions: Collection[str] | None) -> frozenset[Permission]:
    """Reduce a role's permissions to those of the key; a key without a list keeps its owner's.

    Every key may ask whose it is.
    """
    if key_permissions is None:
        return granted
    return granted & (PROFILE | frozenset(Permission(p) for p in key_permissions if p in _NAMES))
