"""Tables of environments."""

from sqlalchemy import ForeignKey, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema import DEFINITION, FACT, Identifier, Time, key, metadata, optional, org, required

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
