from sqlalchemy import Boolean, ForeignKey, Index, Integer, LargeBinary, Table, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema import DEFINITION, DERIVED, Identifier, Time, document, key, metadata, optional, org, required

organisations = Table(
    "organisations",
    metadata,
    key(),
    required("slug", Identifier, unique=True),
    required("name", Identifier),
    required("description", Identifier),
    required("type", Identifier),
    document("settings"),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    info=DEFINITION,
)

principals = Table(
    "principals",
    metadata,
    key(),
    required("kind", Identifier),
    required("username", Identifier, unique=True),
    optional("email", Identifier),
    optional("password_hash", Identifier),
    required("version", Integer),
    required("created_at", Time),
    optional("disabled_at", Time),
    optional("erased_at", Time),
    info=DEFINITION,
)

memberships = Table(
    "memberships",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("principal_id", Uuid, ForeignKey(principals.c.id), primary_key=True),
    required("id", Uuid, unique=True),
    required("role", Identifier),
    required("version", Integer),
    required("created_at", Time),
    info=DEFINITION,
)

api_keys = Table(
    "api_keys",
    metadata,
    key(),
    org(),
    required("principal_id", Uuid, ForeignKey(principals.c.id)),
    required("name", Identifier),
    required("sha256", LargeBinary, unique=True),
    required("prefix", Identifier),
    optional("permissions", ARRAY(Identifier)),
    optional("scopes", ARRAY(Identifier)),
    required("version", Integer),
    required("created_at", Time),
    optional("expires_at", Time),
    optional("revoked_at", Time),
    Index(None, "org_id", "created_at", "id"),
    info=DEFINITION,
)

api_key_uses = Table(
    "api_key_uses",
    metadata,
    required("api_key_id", Uuid, primary_key=True),
    required("last_used_at", Time),
    info=DERIVED,
)

master_keys = Table(
    "master_keys",
    metadata,
    required("key_id", Identifier, primary_key=True),
    required("created_at", Time),
    required("is_current", Boolean),
    info=DEFINITION,
)
"""The ids of the master keys that were ever in use, so that no process starts with another one."""

signing_keys = Table(
    "signing_keys",
    metadata,
    required("key_id", Identifier, primary_key=True),
    required("public_key", LargeBinary),
    required("created_at", Time),
    required("is_current", Boolean),
    info=DEFINITION,
)
