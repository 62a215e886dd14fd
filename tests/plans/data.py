"""A database with many rows in every table: what a plan is judged by. Columns are filled by their name and type."""

from typing import Any

import asyncpg
from sqlalchemy import ARRAY, Boolean, Column, DateTime, Integer, LargeBinary, SmallInteger, Table, Uuid
from sqlalchemy.dialects.postgresql import INT4RANGE, JSONB, TSVECTOR

from storage.registry import METADATA
from storage.schema import DEFINITION

ROWS = 100_000
DEFINITIONS = 5_000
"""Rows of a table of definitions, and of their versions: people write them, not machines."""
FEW = {
    "organisations": 100,
    "destinations": 500,
    "ledger_heads": 100,
    "notification_streams": 100,
    "reconciliations": 500,
    "schedule": 20,
    "signing_keys": 5,
    "flow_versions": DEFINITIONS,
    "environment_versions": DEFINITIONS,
}
"""Tables that stay small however long the product runs: one of them may be read whole."""

PARENTS = {
    "org_id": 5,
    "flow_id": 50,
    "config_id": 50,
    "rule_id": 50,
    "destination_id": 50,
    "actor_id": 20,
    "environment_id": 50,
}
"""How many different parents there are; of one that is not named here there are ten rows each."""

WORDS = {"status", "state", "kind", "type", "outcome", "channel", "role", "event", "region", "source"}
"""Columns with a handful of different values."""

STATUSES = {
    "trails": ("COMPLIANT", "COMPLIANT", "COMPLIANT", "COMPLIANT", "PENDING", "NON_COMPLIANT"),
    "messages": (*("SENT",) * 18, "FAILED", "SKIPPED", "PENDING"),
    "deliveries": (*("SUCCESS",) * 19, "FAILED"),
    "approvals": (*("APPROVED",) * 16, "REJECTED", "EXPIRED", "EXPIRED", "PENDING_APPROVAL"),
    "latest_results": ("PASSED", "PASSED", "PASSED", "FAILED", "PENDING"),
}
"""How often each status is met, where an index is made for some of them."""

_NTH = """
CREATE FUNCTION nth(n bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
SELECT (lpad(to_hex(extract(epoch FROM date_trunc('month', now()))::bigint * 1000 + n), 12, '0')
        || '70008000' || lpad(to_hex(n), 12, '0'))::uuid $$
"""
"""Ids of this month, so that they lie in the partition of today."""


_LARGE = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> ALL($1::text[])
  AND pg_relation_size(oid) > 0
"""


def rows_of(table: Table) -> int:
    """How many rows a table is filled with."""
    return FEW.get(table.name, DEFINITIONS if table.info == DEFINITION else ROWS)


async def fill(connection: asyncpg.Connection) -> set[str]:
    """Fill every table of a migrated database; the answer names those that grow with what machines report.

    Of a partitioned one that is its partition of today. Triggers and foreign keys are not asked, statistics not taken.
    """
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    await connection.execute(_NTH)
    for table in METADATA.tables.values():
        columns = ", ".join(column.name for column in table.columns)
        values = ", ".join(_value(table, column) for column in table.columns)
        await connection.execute(
            f"INSERT INTO {table.name} ({columns}) SELECT {values} FROM generate_series(1, {rows_of(table)}) n "
            "ON CONFLICT DO NOTHING"
        )
    small = [table.name for table in METADATA.tables.values() if rows_of(table) < ROWS]
    return {row[0] for row in await connection.fetch(_LARGE, small)}


def _value(table: Table, column: Column[Any]) -> str:
    text = _filled(table, column)
    return f"CASE WHEN n % 2 = 0 THEN {text} END" if column.nullable else text


def _filled(table: Table, column: Column[Any]) -> str:
    """SQL for the value of a column in row `n`."""
    for kind, text in _BY_TYPE.items():
        if isinstance(column.type, kind):
            return text
    return _identifier(table, column) if isinstance(column.type, Uuid) else _text(table, column.name)


_BY_TYPE = {
    DateTime: "now() - n * interval '1 second'",
    Boolean: "n % 2 = 0",
    SmallInteger: "(n % 3)::smallint",
    Integer: "n",
    JSONB: "'{}'::jsonb",
    ARRAY: "'{}'::text[]",
    TSVECTOR: "to_tsvector('simple', 'word' || n % 1000)",
    INT4RANGE: "int4range(n::int, CASE WHEN n % 5 > 0 THEN n::int + 5 END)",
    LargeBinary: "sha256(n::text::bytea)",
}


def _identifier(table: Table, column: Column[Any]) -> str:
    own = column.name == "id" or (column.primary_key and (column.name != "org_id" or table.name in FEW))
    if own:
        return "nth(n)"
    return f"nth(1 + n % {PARENTS[column.name]})" if column.name in PARENTS else "nth(1 + n / 10)"


def _text(table: Table, name: str) -> str:
    if name == "status" and table.name in STATUSES:
        words = STATUSES[table.name]
        return f"(ARRAY{list(words)})[1 + n % {len(words)}]"
    return f"'{name}' || n % 5" if name in WORDS else f"'{name}' || n"
