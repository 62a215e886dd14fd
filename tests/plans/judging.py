"""Judging plans: which read a whole table that grows, or walk an index in the hope of meeting what they look for."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg

DEAREST_WALK = 2000.0
"""What PostgreSQL may expect a scan with a filter to cost: a few thousand rows that are read and thrown away."""

SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}

ALLOWED = {
    "storage.blobs.queries": "asks whether there is any",
    "storage.ledger.inspection": "the audit of a whole ledger",
    "storage.ledger.rebuild": "a rebuild",
    "storage.ledger.renewal": "a rotation of the master key, while nothing serves",
    "storage.facts.rebuild": "a rebuild",
    "storage.rebuild": "a rebuild",
    "storage.retention": "a sweep over what has gone stale, in batches",
    "cli.": "a command that an operator waits for",
}
"""Modules whose statements may read what they want, and why."""

ALLOWED_STATEMENTS = {
    "FROM inbox ORDER BY due_at LIMIT $1": "`trailgate inbox list`, over all organisations",
    "SELECT count(*) AS waiting, min(due_at) AS oldest FROM inbox": "`trailgate inbox list`",
    "FROM outbox ORDER BY due_at LIMIT $1": "`trailgate outbox list`, over all organisations",
    "AND ($1::uuid IS NULL OR": "a replay, which reads the dead letters alone",
    "UPDATE outbox SET due_at = $2 WHERE destination_id = ANY": "touches every message of the destination",
    "SET claim_id = NULL, due_at = least": "`trailgate up`, once, before it starts a worker",
    "DELETE FROM outbox WHERE destination_id = ANY": "touches every message of the destination",
    "m.status = 'SENT'": "nearly all messages are, so the walk soon meets them",
    "m.status = 'PENDING'": "either few wait, and the outbox leads to them, or many, and the walk soon meets them",
    "NOT EXISTS (SELECT FROM inbox": "a sweep",
    "(a.status = 'EXPIRED' OR": "either few expire, and an index leads to them, or the walk soon meets them",
    "a.overridden AND a.flow_id": "glass is rarely broken, so the index has few rows",
    "coalesce(a.deadline, 'infinity')": "throws away what waits for others, and what the next sweep lets expire",
    "OR (SELECT r.created_at FROM allowlist_removals": "throws away what is effective: 1,000 entries at most",
    "NOT EXISTS (SELECT FROM environments e": "a rebuild, which looks for what no environment leads to",
    "(org_id, digest) > ($1, $2)": "`trailgate verify --files`, which reads every file",
    "pg_inherits": "reads the catalogue, and takes names of tables",
    "WHERE org_id = $1 AND (n <= coalesce((SELECT read_to": "bounded by the notifications that one person left unread",
}
"""Statements, by a part of their text, that look dearer than they are or are allowed to be dear, and why."""


LISTED = 500
"""Elements of an array, where a plan is made for the values at hand: a batch of the drain."""

VALUES = {
    "uuid": "'01a00000-0000-7000-8000-000000000007'",
    "text": "'x7'",
    "timestamp with time zone": "now()",
    "integer": "100",
    "bigint": "100",
    "smallint": "1",
    "boolean": "true",
    "bytea": "'x'::bytea",
    "jsonb": "'{}'::jsonb",
}
"""A value of each type, NULL for the row of a table. PostgreSQL does not look at what it is, as long as it has no
statistics of it."""


async def judge(connection: asyncpg.Connection, seen: dict[str, str], large: Collection[str]) -> list[str]:
    """What is wrong with the plans of the statements, by the module that ran each.

    Each has two: the generic one, and one for long lists of values, which PostgreSQL may prefer.
    """
    await connection.execute("SET random_page_cost = 1.1; SET jit = off")
    wrong = []
    for sql, module in seen.items():
        if not module.startswith(tuple(ALLOWED)) and not any(part in sql for part in ALLOWED_STATEMENTS):
            found = {complaint for plan in await _plans(connection, sql) for complaint in complaints(plan, large)}
            wrong += [f"{module}: {complaint}\n    {' '.join(sql.split())}" for complaint in sorted(found)]
    return wrong


async def _plans(connection: asyncpg.Connection, sql: str) -> list[dict[str, Any]]:
    """The plans of a statement; none of what has none, or names a partition that only a test made."""
    try:
        await connection.execute(f"PREPARE examined AS {sql}")
    except (asyncpg.PostgresSyntaxError, asyncpg.UndefinedTableError):
        return []
    try:
        kinds = await connection.fetchval(
            "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'examined'"
        )
        return [
            await _explained(connection, "force_generic_plan", ["NULL"] * len(kinds)),
            await _explained(connection, "force_custom_plan", [_value(kind) for kind in kinds]),
        ]
    finally:
        await connection.execute("DEALLOCATE examined")


async def _explained(connection: asyncpg.Connection, mode: str, values: Sequence[str]) -> dict[str, Any]:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    arguments = f"({', '.join(values)})" if values else ""
    explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE examined{arguments}")
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def _value(kind: str) -> str:
    if not kind.endswith("[]"):
        return VALUES[kind]
    if kind == "uuid[]":  # all different, as keys are
        return "'{" + ",".join(str(UUID(int=n)) for n in range(LISTED)) + "}'"
    return f"array_fill({VALUES.get(kind[:-2], 'NULL')}::{kind[:-2]}, ARRAY[{LISTED}])"


def complaints(plan: dict[str, Any], large: Collection[str]) -> Iterator[str]:
    """What is wrong with a plan, where it scans one of the large tables."""
    for node, limited in _nodes(plan):
        table, filtered = node.get("Relation Name"), node.get("Filter")
        condition = node.get("Index Cond") or node.get("Recheck Cond")
        if table not in large or node["Node Type"] not in SCANS:
            continue
        if condition is None and (filtered or not limited):
            yield f"{node['Node Type']} reads all of {table}, filter {filtered}"[:300]
        elif filtered and node["Total Cost"] > DEAREST_WALK:
            yield f"{node['Node Type']} of {table} throws away what meets {condition} and not {filtered}"[:300]


def _nodes(plan: dict[str, Any], limited: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """A node and all below it, each with whether it is read only until a limit is met."""
    yield plan, limited
    below = plan["Node Type"] == "Limit" or (limited and plan["Node Type"] not in {"Sort", "Aggregate", "Hash"})
    for child in plan.get("Plans", ()):
        yield from _nodes(child, below)
