"""The words in which tables are declared: the metadata, column types, and kinds of table (ARCHITECTURE.md 4.1)."""

from typing import Any

from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

Identifier = Text(collation="C")
"""Text that is compared and ordered: names, slugs, digests, kinds and states sort by code point everywhere."""

Time = DateTime(timezone=True)


def key() -> Column[Any]:
    """The row's own id."""
    return Column("id", Uuid, primary_key=True)


def org() -> Column[Any]:
    """The tenant; first column of every index that serves a tenant's query."""
    return Column("org_id", Uuid, nullable=False)


def required(name: str, kind: Any, *constraints: Any, **options: Any) -> Column[Any]:
    """A column that is never null."""
    return Column(name, kind, *constraints, nullable=False, **options)


def optional(name: str, kind: Any, **options: Any) -> Column[Any]:
    """A column that may be null."""
    return Column(name, kind, nullable=True, **options)


def document(name: str, *, nullable: bool = False) -> Column[Any]:
    """A JSON document."""
    return Column(name, JSONB, nullable=nullable)


FACT = {"kind": "FACT"}
"""Append-only: a trigger refuses UPDATE and DELETE, corrections are new rows."""
DEFINITION = {"kind": "DEFINITION"}
"""A head row over immutable versions."""
DERIVED = {"kind": "DERIVED"}
"""Rebuildable from facts by `trailgate rebuild`; never sealed."""
WORK = {"kind": "WORK"}
"""Small rows that come and go."""


QUEUE = {
    "fillfactor": "50",
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "500",
    "autovacuum_vacuum_cost_delay": "0",
}
"""Storage of a table whose rows are claimed, put off and deleted all the time: room for updates, swept at once."""


def tables_of(kind: dict[str, str]) -> list[Table]:
    """Every declared table of that kind, by name."""
    return sorted((t for t in metadata.tables.values() if t.info == kind), key=lambda table: table.name)
