"""The record forms of identity. They contain no e-mail address and no person's name, because these may be erased."""

from domain.audit.records import VERSION, RecordForm
from domain.identity.permissions import Permission

ORGANISATION_1 = RecordForm(
    kind="organisation",
    format=1,
    columns=("id", "slug", "name", "description", "type", "settings", "version", "created_at"),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)
ORGANISATION = ORGANISATION_1.extended("archived_at")

PRINCIPAL_1 = RecordForm(
    kind="principal",
    format=1,
    columns=("id", "kind", "version", "created_at", "disabled_at"),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)
PRINCIPAL = PRINCIPAL_1.extended("org_id", "archived_at", "erased_at", late=("org_id",))

MEMBERSHIP_1 = RecordForm(
    kind="membership",
    format=1,
    columns=("id", "org_id", "principal_id", "role", "version", "created_at"),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)
MEMBERSHIP = MEMBERSHIP_1.extended("archived_at")

DENIAL = RecordForm(kind="denial", format=1, columns=(), read=Permission.AUDIT_READ)
"""A denied write. It has no row of its own, only its event."""

SIGNING_KEY = RecordForm(kind="signing_key", format=1, columns=(), read=Permission.LEDGER_READ)
"""A rotation of the key that signs checkpoints. It has no row of its own, only its event."""

API_KEY_1 = RecordForm(
    kind="api_key",
    format=1,
    columns=(
        "id",
        "org_id",
        "principal_id",
        "name",
        "sha256",
        "prefix",
        "permissions",
        "scopes",
        "version",
        "created_at",
        "expires_at",
        "revoked_at",
    ),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)
API_KEY = API_KEY_1.extended("break_glass")

SESSION = RecordForm(
    kind="session",
    format=1,
    columns=(
        "id",
        "org_id",
        "principal_id",
        "method",
        "api_key_id",
        "sha256",
        "version",
        "created_at",
        "expires_at",
        "revoked_at",
    ),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)
"""Neither the address nor the program of the person is part of it, because these may be erased."""

INVITATION = RecordForm(
    kind="invitation",
    format=1,
    columns=(
        "id",
        "org_id",
        "role",
        "issue",
        "token_sha256",
        "mailed",
        "version",
        "created_by",
        "created_at",
        "expires_at",
        "accepted_at",
        "accepted_by",
        "revoked_at",
    ),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)

SSO_CONFIG = RecordForm(
    kind="sso_config",
    format=1,
    columns=(
        "id",
        "org_id",
        "provider",
        "issuer_url",
        "client_id",
        "client_secret_id",
        "attribute_mappings",
        "group_role_mappings",
        "default_role",
        "redirect_uris",
        "is_mandatory",
        "version",
        "created_at",
        "archived_at",
    ),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)

SSO_IDENTITY = RecordForm(
    kind="sso_identity",
    format=1,
    columns=("id", "org_id", "principal_id", "version", "created_at", "archived_at"),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)
"""Issuer and subject are not part of it: a subject may be a person's name, and may have to be erased."""

WORKLOAD_IDENTITY = RecordForm(
    kind="workload_identity",
    format=1,
    columns=(
        "id",
        "org_id",
        "principal_id",
        "provider",
        "issuer",
        "repository",
        "repository_id",
        "ref_pattern",
        "environment",
        "scopes",
        "version",
        "created_at",
        "archived_at",
    ),
    read=Permission.IDENTITY_READ,
    version_column=VERSION,
)
"""Its role is sealed with its membership."""
