"""Tables of environments."""

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, INT4RANGE

from storage.schema import DEFINITION, DERIVED, FACT, Identifier, Time, document, key, metadata, optional, org, required

_ACTIVE = "archived_at IS NULL"

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
    required("last_artifacts", Integer),
    optional("last_reported_at", Time),
    optional("last_changed_at", Time),
    optional("due_at", Time),
    optional("stale_since", Time),
    optional("drift_status", Identifier),
    optional("drifted_since", Time),
    optional("recheck_at", Time),
    Index("environments_name_key", "org_id", "name", unique=True, postgresql_where=text(_ACTIVE)),
    Index(None, "org_id", "created_at", "id"),
    Index("environments_logical_idx", "org_id", "created_at", "id", postgresql_where=text("kind = 'logical'")),
    *(
        Index(f"environments_{what}_idx", f"{what}_at", postgresql_where=text(f"{what}_at IS NOT NULL AND {_ACTIVE}"))
        for what in ("due", "recheck")
    ),
    info=DEFINITION,
)
"""`kind` is `physical` or `logical`: a name belongs to one of either.

The columns from `last_n` on say what reports did, and are outside of the sealed record. `last_content` is the hash of
all that runs, `last_artifacts` how many different artifacts that is. At `due_at` the environment becomes stale, unless
a report moves it. At `recheck_at` an entry of the allow-list expires that keeps an artifact from being drift.
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
    required("changed", Integer),
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
artifact whose count is another one, and `changed` how many those are. `content` is the hash of all that runs. Later
snapshots have later times."""

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
    Index(
        "deployments_places_idx", "org_id", "digest", "deployed_at", "id", postgresql_where=text("removed_n IS NULL")
    ),
    info=DERIVED,
)
"""Since when, and until when, each digest ran under a name in an environment: made of the changes of snapshots."""

baselines = Table(
    "baselines",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid, ForeignKey(environments.c.id)),
    required("version", Integer),
    optional("snapshot_id", Uuid),
    optional("n", Integer),
    optional("claimed_by", Identifier),
    optional("description", Text),
    required("created_by", Uuid),
    required("created_at", Time),
    optional("archived_at", Time),
    Index("baselines_active_key", "environment_id", unique=True, postgresql_where=text(_ACTIVE)),
    Index(None, "org_id", "environment_id", "created_at", "id"),
    info=DEFINITION,
)
"""One of an environment is active; it is archived when another one replaces it."""

drift_reports = Table(
    "drift_reports",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid, ForeignKey(environments.c.id)),
    required("baseline_id", Uuid, ForeignKey(baselines.c.id)),
    required("n", Integer),
    required("revision", Integer),
    required("status", Identifier),
    required("differences", Integer),
    document("drift"),
    optional("drifted_since", Time),
    required("created_at", Time),
    UniqueConstraint("baseline_id", "n", "revision"),
    Index(None, "org_id", "environment_id", "created_at", "id"),
    info=FACT,
)
"""Comparisons of a baseline with a snapshot that had another outcome than the one before. `revision` counts, from 1,
those of one snapshot, whose outcome depends on the allow-list. Later reports of an environment have later times."""

allowlist = Table(
    "allowlist",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid, ForeignKey(environments.c.id)),
    optional("digest", Identifier),
    optional("name", Identifier),
    optional("pattern", Identifier),
    required("reason", Text),
    optional("claimed_by", Identifier),
    required("added_by", Uuid),
    optional("expires_at", Time),
    required("created_at", Time),
    Index(None, "org_id", "environment_id", "created_at", "id"),
    Index("allowlist_until_idx", "environment_id", text("coalesce(expires_at, 'infinity'::timestamptz)")),
    info=FACT,
)

allowlist_removals = Table(
    "allowlist_removals",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid),
    required("entry_id", Uuid, ForeignKey(allowlist.c.id)),
    required("removed_by", Uuid),
    required("created_at", Time),
    UniqueConstraint("entry_id"),
    info=FACT,
)

allowlist_uses = Table(
    "allowlist_uses",
    metadata,
    key(),
    org(),
    required("environment_id", Uuid),
    required("entry_id", Uuid, ForeignKey(allowlist.c.id)),
    required("name", Identifier),
    required("digest", Identifier),
    required("created_at", Time),
    UniqueConstraint("entry_id", "name", "digest"),
    Index(None, "org_id", "entry_id", "created_at", "id"),
    info=FACT,
)
"""Which artifacts each entry let through, and since when."""
