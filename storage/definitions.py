"""Definitions: records that people create and change, such as flows. A change makes a new version; delete archives.

The code is shared by all kinds. Each kind is a `Definition` value, and its commands call the methods of that value.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import asyncpg
from sqlalchemy import Table

from domain.audit.events import Actor, AuditName, Event
from domain.audit.records import RecordForm
from domain.errors import Conflict, NotFound, Stale
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.counters import NO_PARENT, adjust
from storage.database import Row, Transaction
from storage.rows import insert, to_row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

_FIXED = frozenset({"id", "org_id", "created_at"})
"""Columns of the head row that no change updates."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A kind of definition.

    `table` holds one head row each: `id`, `org_id`, `version`, `created_at`, `archived_at`, and optionally
    `updated_at` and `created_by`. `versions` holds the immutable versions, for kinds whose old versions are cited
    later: `<kind>_id`, `version`, the columns that may change, and the time and author of the version. `shown` maps
    the fields of the audit payload to columns; the id is always included. `taken` maps the name of a unique constraint
    to the error message for a violation; it may contain columns of the row in braces. `counter` names the counter of
    the definitions that are not archived. `where` is the condition on the rows of this kind, if the table has others.
    `environment` names the column of the environment that its audit events are about, if they are about one.
    """

    noun: str
    form: RecordForm
    table: Table
    shown: Mapping[str, str]
    taken: Mapping[str, str]
    versions: Table | None = None
    counter: str | None = None
    where: str = "true"
    environment: str | None = None
    _update: str = field(init=False, default="")

    def __post_init__(self) -> None:
        places = ", ".join(f"{name} = ${n}" for n, name in enumerate(self._changing, 2))
        object.__setattr__(self, "_update", f"UPDATE {self.table.name} SET {places} WHERE id = $1")

    @property
    def _changing(self) -> list[str]:
        return [column.name for column in self.table.columns if column.name not in _FIXED]

    def event(self, verb: str, actor: Actor, record: Row) -> Event:
        """Make the audit event of a change, named `<kind>.<verb>`, for example `flow.updated`."""
        words = self.form.kind.split("_")
        id_name = words[0] + "".join(map(str.title, words[1:])) + "Id"
        payload = {id_name: str(record["id"]), **{name: _plain(record[column]) for name, column in self.shown.items()}}
        environment_id = record[self.environment] if self.environment else None
        name = AuditName(f"{self.form.kind}.{verb}")
        return Event(name, actor, self.form, record, payload, environment_id=environment_id)

    async def create(self, tx: Transaction, tenant: Tenant, actor: Actor, values: Row) -> dict[str, Any]:
        """Create the first version and return the whole row. Raises Conflict when a unique value is taken."""
        row = {
            "id": tx.new_id(),
            "org_id": tenant.org_id,
            "version": 1,
            "created_at": tx.now,
            "updated_at": tx.now,
            "created_by": actor.principal_id,
            "archived_at": None,
            **values,
        }
        head = _only(self.table, row)
        try:
            await insert(tx, self.table.name, head)
        except asyncpg.UniqueViolationError as error:
            raise self._conflict(error, row) from error
        record = await self._with_version(tx, actor, row)
        counts = [(self.counter, NO_PARENT)] if self.counter else []
        await append(tx, tenant, [self.event("created", actor, record)], counts)
        return row

    async def hold(
        self, tx: Transaction, tenant: Tenant, one_id: UUID, expected: Collection[int] | None = None
    ) -> dict[str, Any]:
        """Return the row with its newest version, locked until the transaction ends.

        `expected` are the versions that the caller accepts, None for any. Raises Stale for another version, and
        NotFound when the row does not exist, is archived or belongs to another organisation.
        """
        head = await tx.row(
            f"SELECT * FROM {self.table.name} "
            f"WHERE org_id = $1 AND id = $2 AND archived_at IS NULL AND {self.where} FOR UPDATE",
            tenant.org_id,
            one_id,
        )
        if head is None:
            raise NotFound(f"There is no {self.noun} {one_id}.")
        if expected is not None and head["version"] not in expected:
            raise Stale(f"The {self.noun} is now at version {head['version']}; read it again and repeat the change.")
        if self.versions is None:
            return dict(head)
        # A second statement: a join would have waited for the lock with a snapshot that lacks the newest version.
        [version] = await tx.rows(
            f"SELECT * FROM {self.versions.name} WHERE {self.form.kind}_id = $1 AND version = $2",
            one_id,
            head["version"],
        )
        return {**version, **head}

    async def change(
        self, tx: Transaction, tenant: Tenant, actor: Actor, held: Row, values: Row, *, verb: str = "updated"
    ) -> dict[str, Any]:
        """Make the next version of a locked row, unless nothing changes. Raises Conflict for a taken unique value."""
        row = {**held, **values}
        if row == held:
            return row
        row |= {"version": held["version"] + 1, "updated_at": tx.now}
        try:
            await tx.execute(self._update, row["id"], *(row[name] for name in self._changing))
        except asyncpg.UniqueViolationError as error:
            raise self._conflict(error, row) from error
        record = await self._with_version(tx, actor, row)
        await append(tx, tenant, [self.event(verb, actor, record)])
        return row

    async def archive(
        self, tx: Transaction, tenant: Tenant, actor: Actor, held: Row, values: Row | None = None
    ) -> dict[str, Any]:
        """Archive a locked row, release its name and return its last version."""
        row = await self.change(tx, tenant, actor, held, {**(values or {}), "archived_at": tx.now}, verb="deleted")
        if self.counter:
            await adjust(tx, tenant, self.counter, NO_PARENT, -1)
        return row

    async def _with_version(self, tx: Transaction, actor: Actor, row: Row) -> Row:
        """Insert the version, if this kind keeps versions, and return the record as the ledger seals it."""
        if self.versions is None:
            return row
        of_version = {f"{self.form.kind}_id": row["id"], "created_at": tx.now, "created_by": actor.principal_id}
        version = _only(self.versions, {**row, **of_version})
        await insert(tx, self.versions.name, version)
        return {**row, **version}

    def _conflict(self, error: asyncpg.UniqueViolationError, row: Row) -> Exception:
        message = self.taken.get(error.constraint_name or "")
        return Conflict(message.format_map(row)) if message else error


@dataclass(frozen=True, slots=True)
class Commands(Generic[T]):
    """Create, update and delete commands for a definition without rules of its own.

    `make` converts a row to the result. Input is a dataclass whose fields are columns of the definition.
    """

    definition: Definition
    make: Callable[[Row], T]

    async def create(self, tx: Transaction, tenant: Tenant, new: "DataclassInstance", actor: Actor) -> T:
        """Create a definition. Raises Conflict when a unique value is taken."""
        return self.make(await self.definition.create(tx, tenant, actor, to_row(new)))

    async def update(
        self,
        tx: Transaction,
        tenant: Tenant,
        one_id: UUID,
        change: "DataclassInstance",
        actor: Actor,
        *,
        expected: Collection[int] | None = None,
    ) -> T:
        """Change a definition. Raises NotFound, Stale, and Conflict when a unique value is taken."""
        held = await self.definition.hold(tx, tenant, one_id, expected)
        return self.make(await self.definition.change(tx, tenant, actor, held, to_row(change)))

    async def delete(
        self, tx: Transaction, tenant: Tenant, one_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
    ) -> T:
        """Archive a definition and return its last version. Raises NotFound, Stale."""
        held = await self.definition.hold(tx, tenant, one_id, expected)
        return self.make(await self.definition.archive(tx, tenant, actor, held))


def _only(table: Table, row: Row) -> dict[str, Any]:
    return {column.name: row[column.name] for column in table.columns}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
