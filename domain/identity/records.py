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

API_KEY = RecordForm(
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
