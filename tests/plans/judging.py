"""Judging plans: which read a whole table that grows, or walk an index in the hope of meeting what they look for."""

import json
from collections.abc import Collection, Iterator
from typing import Any

import asyncpg

DEAREST_WALK = 2000.0
"""What PostgreSQL may expect a scan with a filter to cost: a few thousand rows that are read and thrown away."""

SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}

ALLOWED = {
    "storage.blobs.queries": "asks whether there is any",
    "storage.ledger.inspection": "the audit of a whole ledger",
    "storage.ledger.rebuild": "a rebuild",
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
    "DELETE FROM outbox WHERE destination_id = ANY": "touches every message of the destination",
    "m.status = 'SENT'": "nearly all messages are, so the walk soon meets them",
    "m.status = 'PENDING'": "either few wait, and the outbox leads to them, or many, and the walk soon meets them",
    "NOT EXISTS (SELECT FROM inbox": "a sweep",
    "WHERE org_id = $1 AND (n <= coalesce((SELECT read_to": "bounded by the notifications that one person left unread",
}
"""Statements, by a part of their text, that look dearer than they are or are allowed to be dear, and why."""


async def judge(connection: asyncpg.Connection, seen: dict[str, str], large: Collection[str]) -> list[str]:
    """What is wrong with the generic plans of the statements, by the module that ran each."""
    await connection.execute("SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1.1; SET jit = off")
    wrong = []
    for sql, module in seen.items():
        if not module.startswith(tuple(ALLOWED)) and not any(part in sql for part in ALLOWED_STATEMENTS):
            wrong += [
                f"{module}: {complaint}\n    {' '.join(sql.split())}"
                for complaint in complaints(await _plan(connection, sql), large)
            ]
    return wrong


async def _plan(connection: asyncpg.Connection, sql: str) -> dict[str, Any]:
    """The generic plan of a statement; an empty one for what has none, or names a partition that only a test made."""
    try:
        await connection.execute(f"PREPARE examined AS {sql}")
    except (asyncpg.PostgresSyntaxError, asyncpg.UndefinedTableError):
        return {}
    try:
        kinds = await connection.fetchval("SELECT parameter_types FROM pg_prepared_statements WHERE name = 'examined'")
        arguments = f"({', '.join(['NULL'] * len(kinds))})" if kinds else ""
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE examined{arguments}")
    finally:
        await connection.execute("DEALLOCATE examined")
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def complaints(plan: dict[str, Any], large: Collection[str]) -> Iterator[str]:
    """What is wrong with a plan, where it scans one of the large tables."""
    for node, limited in _nodes(plan):
        table, filtered = node.get("Relation Name"), node.get("Filter")
        condition = node.get("Index Cond") or node.get("Recheck Cond")
        if table not in large or node["Node Type"] not in SCANS:
            continue
        if condition is None and (filtered or not limited):
            yield f"{node['Node Type']} reads all of {table}, filter {filtered}"
        elif filtered and node["Total Cost"] > DEAREST_WALK:
            yield f"{node['Node Type']} of {table} throws away what meets {condition} and not {filtered}"


def _nodes(plan: dict[str, Any], limited: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """A node and all below it, each with whether it is read only until a limit is met."""
    if plan:
        yield plan, limited
    below = plan.get("Node Type") == "Limit" or (limited and plan.get("Node Type") not in {"Sort", "Aggregate", "Hash"})
    for child in plan.get("Plans", ()):
        yield from _nodes(child, below)
