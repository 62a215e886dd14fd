"""Tables of environments."""

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, INT4RANGE

from storage.schema import DEFINITION, DERIVED, FACT, Identifier, Time, document, key, metadata, optional, org, required

environments = Table(
    "environments",
    metadata,
    key(),
    org(),
    required("name", Identifier),
    required("kind", Identifier),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    required("last_n", Integer),
    optional("last_content", LargeBinary),
    optional("last_reported_at", Time),
    optional("last_changed_at", Time),
    optional("due_at", Time),
    optional("stale_since", Time),
    Index("environments_name_key", "org_id", "name", unique=True, postgresql_where=text("archived_at IS NULL")),
    Index(None, "org_id", "created_at", "id"),
    Index("environments_logical_idx", "org_id", "created_at", "id", postgresql_where=text("kind = 'logical'")),
    Index("environments_due_idx", "due_at", postgresql_where=text("due_at IS NOT NULL AND archived_at IS NULL")),
    info=DEFINITION,
)
"""`kind` is `physical` or `logical`: a name belongs to one of either.

The columns from `last_n` on say what reports did, and are outside of the sealed record. `last_content` is the hash of
all that runs. At `due_at` the environment becomes stale, unless a report moves it.
"""

environment_versions = Table(
    "environment_versions",
    metadata,
    required("environment_id", Uuid, ForeignKey(environments.c.id), primary_key=True),
    required("version", Integer, primary_key=True, autoincrement=False),
    org(),
    required("name", Identifier),
    required("kind", Identifier),
    required("type", Identifier),
    required("description", Text),
    required("drift_policy", Identifier),
    *(required(f"{what}_{part}", ARRAY(Text)) for what in ("include", "exclude") for part in ("names", "patterns")),
    optional("stale_after", Integer),
    required("created_at", Time),
    required("created_by", Uuid),
    optional("archived_at", Time),
    document("members"),
    Index(
        "environment_versions_members_idx",
        "members",
        postgresql_using="gin",
        postgresql_where=text("kind = 'logical'"),
    ),
    info=FACT,
)
"""`members` of a logical environment: since when each one is a member, by its id. A physical one has none."""

snapshots = Table(
    "snapshots",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid, ForeignKey(environments.c.id)),
    required("n", Integer),
    required("environment_version", Integer),
    required("content", LargeBinary),
    required("artifacts", Integer),
    document("changes"),
    optional("claimed_by", Identifier),
    optional("scope_label", Identifier),
    required("recorded_by", Uuid),
    required("created_at", Time),
    UniqueConstraint("environment_id", "n"),
    Index(None, "org_id", "environment_id", "created_at", "id"),
    info=FACT,
)
"""`changes` is the difference from the snapshot before: `[name, digest, tag, count before, count after]` for each
artifact whose count is another one. `content` is the hash of all that runs. Later snapshots have later times."""

running = Table(
    "running",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid),
    required("during", INT4RANGE),
    required("name", Identifier),
    required("digest", Identifier),
    optional("tag", Identifier),
    required("count", Integer),
    Index("running_during_idx", "environment_id", "during", postgresql_using="gist"),
    Index("running_now_idx", "environment_id", postgresql_where=text("upper_inf(during)")),
    info=DERIVED,
)
"""What ran in which snapshots: made of their changes, so that any one is read in one step, however old it is."""

deployments = Table(
    "deployments",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid),
    required("name", Identifier),
    required("digest", Identifier),
    optional("tag", Identifier),
    optional("replaced", Identifier),
    required("deployed_n", Integer),
    required("deployed_at", Time),
    optional("removed_n", Integer),
    optional("removed_at", Time),
    Index(None, "org_id", "environment_id", "deployed_at", "id"),
    Index(None, "org_id", "digest", "deployed_at", "id"),
    Index("deployments_now_idx", "environment_id", "name", "digest", postgresql_where=text("removed_n IS NULL")),
    info=DERIVED,
)
"""Since when, and until when, each digest ran under a name in an environment: made of the changes of snapshots."""
