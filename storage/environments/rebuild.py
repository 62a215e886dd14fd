"""Rebuilding what is derived from snapshots: what ran in each, deployments, and what environments show of reports."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from domain.environments.environments import DriftStatus
from domain.environments.snapshots import Change, ChangedSnapshot
from domain.moments import TICK
from domain.tenant import Tenant
from storage.batches import Batch, BatchInsert
from storage.database import LONG, Database, Row, Transaction
from storage.environments.replay import Replay, Replayed
from storage.environments.tables import deployments, running
from storage.rebuild import Progress
from storage.rows import columns, from_row

CHUNK = 1000
"""Snapshots of an environment that are replayed in one transaction."""
MOST_CHANGES = 20_000
"""Changes of snapshots after which a chunk ends early."""

_PAGE = 500
"""Environments listed at once."""

_ENVIRONMENTS = """
SELECT id, created_at FROM environments
WHERE org_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4
"""
_HOLD = """
SELECT last_n, last_content, last_artifacts, last_changed_at, drift_status, drifted_since,
       CASE WHEN isfinite(last_reported_at) THEN last_reported_at END AS last_reported_at
FROM environments WHERE id = $1 FOR NO KEY UPDATE
"""
_NEWEST = "SELECT n, content, artifacts, created_at FROM snapshots WHERE environment_id = $1 ORDER BY n DESC LIMIT 1"
_CHANGED = f"""
SELECT {columns(ChangedSnapshot)} FROM (
  SELECT *, sum(changed) OVER (ORDER BY n) - changed AS changes_before
  FROM snapshots WHERE environment_id = $1 AND n > $2 AND n <= $3
) AS chunk
WHERE (changed > 0 OR n = 1) AND changes_before < $4 ORDER BY n
"""

_INTERVAL = ("name", "digest", "tag", "count", "during")
_ENDING = f"""
SELECT id, org_id, {", ".join(_INTERVAL)} FROM running
WHERE environment_id = $1 AND during && int4range($2, $3) AND during &< int4range($2, $3)
"""
_EMPTY = "DELETE FROM running WHERE environment_id = $1 AND during = 'empty'"
_END = "DELETE FROM running WHERE id = ANY($1::uuid[])"
_NOT_BEGUN = """
DELETE FROM deployments d
WHERE org_id = $1 AND environment_id = $2
  AND deployed_at BETWEEN coalesce($3::timestamptz, '-infinity') AND coalesce($4::timestamptz, 'infinity')
  AND NOT EXISTS (SELECT FROM unnest($5::uuid[]) AS begun(id) WHERE begun.id = d.id)
"""
_PLACE = ("org_id", "environment_id")
_snapshot = from_row(ChangedSnapshot, changes=lambda stored: tuple(map(Change.of_json, stored)))
_interval: Any = itemgetter(*_INTERVAL)
_BEGIN = Batch(BatchInsert(running, ("id", *_INTERVAL), shared=_PLACE))
_VALUES = tuple(column.name for column in deployments.columns if column.name not in {"id", *_PLACE})
_DEPLOY = Batch(
    BatchInsert(
        deployments,
        ("id", *_VALUES),
        shared=_PLACE,
        conflict=f"(id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in (*_PLACE, *_VALUES))} "
        f"WHERE ({', '.join(f'deployments.{name}' for name in (*_PLACE, *_VALUES))}) "
        f"IS DISTINCT FROM ({', '.join(f'excluded.{name}' for name in (*_PLACE, *_VALUES))})",
    )
)

_DRIFT = """
SELECT status, drifted_since FROM drift_reports
WHERE org_id = $1 AND environment_id = $2
  AND EXISTS (SELECT FROM baselines WHERE environment_id = $2 AND archived_at IS NULL AND n IS NOT NULL)
ORDER BY created_at DESC, id DESC LIMIT 1
"""
_SHOW = """
UPDATE environments
SET last_n = $2, last_content = $3, last_artifacts = $4, last_reported_at = $5, last_changed_at = $6, drift_status = $7,
    drifted_since = $8
WHERE id = $1
"""
_STRAYS = """
WITH dropped AS (
  DELETE FROM {table} d
  WHERE org_id = $1 AND NOT EXISTS (SELECT FROM environments e WHERE e.id = d.environment_id AND e.org_id = d.org_id)
  RETURNING true
)
SELECT count(*) FROM dropped
"""


async def rebuild_environments(database: Database, tenant: Tenant) -> AsyncIterator[Progress]:
    """Rebuild what ran in every environment, archived ones too, and what they show of it; `seen` counts snapshots.

    An environment is locked, as it is by reports, for one chunk of its snapshots at a time. What ended within a chunk
    is final and is compared at once, what still runs is compared with the last chunk: memory holds a chunk and what
    runs at one moment, however long the history is.
    """
    seen = mended = 0
    async for environment_id in _environments(database, tenant):
        environment = _Environment(tenant, environment_id)
        while not environment.is_done:
            async with database.transaction() as tx:
                mended += await environment.rebuild_chunk(tx)
            yield Progress(seen + environment.n, mended)
        seen += environment.n
    async with database.transaction() as tx:
        mended += await _drop_strays(tx, tenant)
    yield Progress(seen, mended)


async def _environments(database: Database, tenant: Tenant) -> AsyncIterator[UUID]:
    after = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
    while True:
        async with database.read() as reader:
            rows = await reader.rows(_ENVIRONMENTS, tenant.org_id, *after, _PAGE)
        if not rows:
            return
        for row in rows:
            yield row["id"]
        after = (rows[-1]["created_at"], rows[-1]["id"])


class _Environment:
    """An environment that is rebuilt chunk by chunk. `n` is the number of the last snapshot that was looked at."""

    def __init__(self, tenant: Tenant, environment_id: UUID) -> None:
        self.n = 0
        self.is_done = False
        self._id = environment_id
        self._place = {"org_id": tenant.org_id, "environment_id": environment_id}
        self._replay = Replay()
        self._last: ChangedSnapshot | None = None  # the last one that changes something

    async def rebuild_chunk(self, tx: Transaction) -> int:
        """Compare the rows that the next snapshots make final with those that are there; return how many differed."""
        [shown] = await tx.rows(_HOLD, self._id)
        newest = await tx.row(_NEWEST, self._id)
        snapshots = await self._next(tx, newest["n"] if newest else 0)
        if not snapshots and not self.is_done:
            return 0
        found = self._replay.replay(snapshots, are_last=self.is_done)
        before, self._last = self._last, snapshots[-1] if snapshots else self._last
        until = None if self.is_done else self._last
        mended = await self._mend_running(tx, found, before, until)
        mended += await self._mend_deployments(tx, found, before, until)
        return mended + await self._mend_shown(tx, shown, newest) if self.is_done else mended

    async def _next(self, tx: Transaction, newest_n: int) -> Sequence[ChangedSnapshot]:
        """Return those of the next snapshots that change something."""
        until = min(self.n + CHUNK, newest_n)
        rows = await tx.rows(_CHANGED, self._id, self.n, until, MOST_CHANGES)
        snapshots = [_snapshot(row) for row in rows]
        is_cut = sum(len(snapshot.changes) for snapshot in snapshots) >= MOST_CHANGES
        self.n = snapshots[-1].n if is_cut else until
        self.is_done = self.n == newest_n
        return snapshots

    async def _mend_running(
        self, tx: Transaction, found: Replayed, before: ChangedSnapshot | None, until: ChangedSnapshot | None
    ) -> int:
        """Compare the intervals that end behind the snapshot `before`, and up to `until`."""
        bounds = (before.n if before else None, until.n if until else None)
        missing = {(self._place["org_id"], *_interval(row)): row for row in found.running}
        superfluous = [
            row["id"]
            for row in await tx.rows(_ENDING, self._id, *bounds)
            if missing.pop((row["org_id"], *_interval(row)), None) is None
        ]
        await tx.execute(_END, superfluous)
        await _BEGIN.write(tx, self._place, [{"id": tx.new_id(), **row} for row in missing.values()])
        empty = 0 if until else await tx.execute(_EMPTY, self._id)
        return max(len(superfluous) + empty, len(missing))  # a wrong row is superfluous, and the right one missing

    async def _mend_deployments(
        self, tx: Transaction, found: Replayed, before: ChangedSnapshot | None, until: ChangedSnapshot | None
    ) -> int:
        """Remove deployments that did not begin behind the snapshot `before`, and up to `until`; write what ended."""
        times = (before.created_at + TICK if before else None, until.created_at if until else None)
        removed = await tx.execute(_NOT_BEGUN, *self._place.values(), *times, found.begun)
        return removed + await _DEPLOY.write(tx, self._place, found.deployments)

    async def _mend_shown(self, tx: Transaction, shown: Row, newest: Row | None) -> int:
        """Compare what the environment shows of its reports.

        The time of the last report is only known to be no earlier than the newest snapshot: a report that was only to
        record changes may have come later.
        """
        drift = await tx.row(_DRIFT, *self._place.values())
        is_drifted = drift is not None and drift["status"] == DriftStatus.DRIFTED
        right = {
            "last_n": 0,
            "last_content": None,
            "last_artifacts": 0,
            "last_reported_at": None,
            "last_changed_at": self._last.created_at if self._last else None,
            "drift_status": drift["status"] if drift else None,
            "drifted_since": drift["drifted_since"] if drift and is_drifted else None,
        }
        if newest:
            reported_at = max(newest["created_at"], shown["last_reported_at"] or newest["created_at"])
            right |= {
                "last_n": newest["n"],
                "last_content": newest["content"],
                "last_artifacts": newest["artifacts"],
                "last_reported_at": reported_at,
            }
        if all(shown[name] == value for name, value in right.items()):
            return 0
        return await tx.execute(_SHOW, self._id, *right.values())


async def _drop_strays(tx: Transaction, tenant: Tenant) -> int:
    """Delete rows of environments that do not exist."""
    await tx.execute("SET LOCAL statement_timeout = 0")
    dropped = [
        await tx.connection.fetchval(_STRAYS.format(table=table.name), tenant.org_id, timeout=LONG)
        for table in (running, deployments)
    ]
    return sum(dropped)
