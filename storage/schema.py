"""Vocabulary for declaring tables: the metadata, column types, and the kinds of table."""

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
"""Text that is compared and sorted (names, slugs, digests, kinds, states): by code point, whatever the locale."""

Time = DateTime(timezone=True)


def key() -> Column[Any]:
    """Declare the column of the row's own id."""
    return Column("id", Uuid, primary_key=True)


def org() -> Column[Any]:
    """Declare the column of the tenant, which comes first in every index for a tenant's query."""
    return Column("org_id", Uuid, nullable=False)


def required(name: str, kind: Any, *constraints: Any, **options: Any) -> Column[Any]:
    """Declare a NOT NULL column."""
    return Column(name, kind, *constraints, nullable=False, **options)


def optional(name: str, kind: Any, **options: Any) -> Column[Any]:
    """Declare a nullable column."""
    return Column(name, kind, nullable=True, **options)


def document(name: str, *, nullable: bool = False) -> Column[Any]:
    """Declare a JSON column."""
    return Column(name, JSONB, nullable=nullable)


FACT = {"kind": "FACT"}
"""Append-only: a trigger rejects UPDATE and DELETE; a correction is a new row."""
DEFINITION = {"kind": "DEFINITION"}
"""A head row with the current version; old versions, where they are kept, are immutable rows of another table."""
DERIVED = {"kind": "DERIVED"}
"""Can be rebuilt from facts by `trailgate rebuild`; never sealed."""
WORK = {"kind": "WORK"}
"""Temporary rows, such as queue entries and leases."""


QUEUE = {
    "fillfactor": "50",
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "500",
    "autovacuum_vacuum_cost_delay": "0",
}
"""Storage parameters of a queue table, whose rows change all the time: free space for updates, eager autovacuum."""


def tables_of(kind: dict[str, str]) -> list[Table]:
    """Return every declared table of a kind, sorted by name."""
    return sorted((t for t in metadata.tables.values() if t.info == kind), key=lambda table: table.name)
