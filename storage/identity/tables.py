from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema import DEFINITION, DERIVED, WORK, Identifier, Time, document, key, metadata, optional, org, required

_ACTIVE = text("archived_at IS NULL")
_NAMED = text("name IS NOT NULL AND archived_at IS NULL")
_UNANSWERED = text("accepted_at IS NULL AND revoked_at IS NULL")

organisations = Table(
    "organisations",
    metadata,
    key(),
    required("slug", Identifier),
    required("name", Identifier),
    required("description", Identifier),
    required("type", Identifier),
    document("settings"),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index("organisations_slug_key", "slug", unique=True, postgresql_where=_ACTIVE),
    Index(None, "created_at", "id"),
    info=DEFINITION,
)

principals = Table(
    "principals",
    metadata,
    key(),
    required("kind", Identifier),
    required("username", Identifier),
    optional("email", Identifier),
    required("version", Integer),
    required("created_at", Time),
    optional("disabled_at", Time),
    optional("erased_at", Time),
    org(),
    optional("name", Identifier),
    optional("description", Identifier),
    optional("github_id", Identifier),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index("principals_username_key", "username", unique=True, postgresql_where=_ACTIVE),
    Index(None, "username"),
    Index("principals_email_key", "email", unique=True, postgresql_where=_ACTIVE),
    Index("principals_github_id_key", "github_id", unique=True, postgresql_where=_ACTIVE),
    Index("principals_named_idx", "org_id", "kind", "created_at", "id", postgresql_where=_NAMED),
    info=DEFINITION,
)
"""Who acts. `org_id` is the organisation that manages the principal; a user may be a member of others, too.

`username` is unique: the e-mail address of a user, `<slug>/<name>` of a service account. Without a `name`, a principal
is an internal one, such as that of a webhook config.
"""

memberships = Table(
    "memberships",
    metadata,
    org(),
    required("principal_id", Uuid, ForeignKey(principals.c.id)),
    key(),
    required("role", Identifier),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    required("kind", Identifier),
    Index("memberships_org_id_principal_id_key", "org_id", "principal_id", unique=True, postgresql_where=_ACTIVE),
    Index("memberships_active_idx", "org_id", "kind", "created_at", "id", postgresql_where=_ACTIVE),
    Index(None, "principal_id"),
    info=DEFINITION,
)
"""`kind` is that of the principal, which never changes."""

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
    optional("break_glass", Boolean),
    Index("api_keys_break_glass_idx", "org_id", postgresql_where=text("break_glass")),
    Index(None, "org_id", "created_at", "id"),
    Index(None, "org_id", "principal_id", "created_at", "id"),
    Index(None, "principal_id"),
    info=DEFINITION,
)

api_key_uses = Table(
    "api_key_uses",
    metadata,
    required("api_key_id", Uuid, primary_key=True),
    required("last_used_at", Time),
    info=DERIVED,
)

sessions = Table(
    "sessions",
    metadata,
    key(),
    org(),
    required("principal_id", Uuid, ForeignKey(principals.c.id)),
    required("method", Identifier),
    optional("api_key_id", Uuid),
    required("sha256", LargeBinary, unique=True),
    optional("user_agent", Identifier),
    optional("address", Identifier),
    required("version", Integer),
    required("created_at", Time),
    required("expires_at", Time),
    optional("revoked_at", Time),
    Index(None, "org_id", "principal_id", "created_at", "id"),
    Index(None, "principal_id"),
    info=DEFINITION,
)
"""Sign-ins of people. `expires_at` is the latest end; a session also ends when it is not used for a while."""

session_uses = Table(
    "session_uses",
    metadata,
    required("session_id", Uuid, primary_key=True),
    required("last_used_at", Time),
    info=DERIVED,
)

sso_configs = Table(
    "sso_configs",
    metadata,
    key(),
    org(),
    required("provider", Identifier),
    required("issuer_url", Identifier),
    required("client_id", Identifier),
    optional("client_secret_id", Uuid),
    required("attribute_mappings", Text),
    required("group_role_mappings", Text),
    required("default_role", Identifier),
    required("redirect_uris", ARRAY(Identifier)),
    required("is_mandatory", Boolean),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index("sso_configs_org_id_key", "org_id", unique=True, postgresql_where=_ACTIVE),
    info=DEFINITION,
)
"""The identity provider of an organisation. The mappings are kept as they were sent."""

sso_identities = Table(
    "sso_identities",
    metadata,
    key(),
    org(),
    required("principal_id", Uuid, ForeignKey(principals.c.id)),
    optional("issuer", Identifier),
    optional("subject", Identifier),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    optional("groups", ARRAY(Identifier)),
    Index("sso_identities_subject_key", "org_id", "issuer", "subject", unique=True, postgresql_where=_ACTIVE),
    Index("sso_identities_principal_key", "org_id", "principal_id", "issuer", unique=True, postgresql_where=_ACTIVE),
    Index(None, "principal_id"),
    info=DEFINITION,
)
"""Which person a subject of a provider is. It counts only in the organisation whose provider that is.

`groups` are those that the provider told at the last sign-in.
"""

workload_identities = Table(
    "workload_identities",
    metadata,
    key(),
    org(),
    required("principal_id", Uuid, ForeignKey(principals.c.id)),
    required("provider", Identifier),
    required("issuer", Identifier),
    required("repository", Identifier),
    optional("repository_id", Identifier),
    optional("ref_pattern", Identifier),
    optional("environment", Identifier),
    optional("scopes", ARRAY(Identifier)),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index("workload_identities_rules_idx", "org_id", "issuer", "repository", postgresql_where=_ACTIVE),
    Index(None, "org_id", "created_at", "id"),
    Index(None, "principal_id"),
    info=DEFINITION,
)
"""The conditions on the CI jobs that act as a principal of the kind `workload`."""

workload_identity_uses = Table(
    "workload_identity_uses",
    metadata,
    required("workload_identity_id", Uuid, primary_key=True),
    required("last_used_at", Time),
    info=DERIVED,
)

used_tokens = Table(
    "used_tokens",
    metadata,
    Column("org_id", Uuid, primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    required("expires_at", Time, index=True),
    info=WORK,
)
"""The tokens of CI jobs whose provenance was recorded: hashes of the issuer and its id of the token."""

invitations = Table(
    "invitations",
    metadata,
    key(),
    org(),
    optional("email", Identifier),
    optional("name", Identifier),
    required("role", Identifier),
    required("issue", Integer),
    required("token_sha256", LargeBinary, unique=True),
    required("mailed", Boolean),
    required("version", Integer),
    required("created_by", Uuid),
    required("created_at", Time),
    required("updated_at", Time),
    required("expires_at", Time),
    optional("accepted_at", Time),
    optional("accepted_by", Uuid),
    optional("revoked_at", Time),
    Index("invitations_email_key", "org_id", "email", unique=True, postgresql_where=_UNANSWERED),
    Index(None, "org_id", "created_at", "id"),
    Index("invitations_unanswered_idx", "org_id", "created_at", "id", postgresql_where=_UNANSWERED),
    Index("invitations_accepted_idx", "org_id", "created_at", "id", postgresql_where=text("accepted_at IS NOT NULL")),
    Index("invitations_revoked_idx", "org_id", "created_at", "id", postgresql_where=text("revoked_at IS NOT NULL")),
    info=DEFINITION,
)
"""`issue` counts the links; `token_sha256` and `mailed` belong to the last one. An answer removes address and name."""

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
