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
    Index("environments_name_key", "org_id", "name", unique=True, postgresql_where=text("archived_at IS NULL")),
    Index(None, "org_id", "created_at", "id"),
    info=DEFINITION,
)
"""`kind` is `physical` or `logical`: a name belongs to one of either."""

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
    required("created_at", Time),
    required("created_by", Uuid),
    optional("archived_at", Time),
    info=FACT,
)

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
"""`changes` is the difference from the snapshot before: `[name, digest, tag, count before, count after]` for each artifact
whose count is another one. `content` is the hash of all that runs. Later snapshots of an environment have later times."""

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
"""What ran in which snapshots: made of the changes, so that any snapshot is read in one step, however old it is."""
