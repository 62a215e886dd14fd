"""Pages: keyset pagination by (time, id), and page numbers with limited depth for clients that need them (ADR 0011)."""

import base64
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

from domain.errors import Invalid, NotFound
from domain.identity.scopes import Scopes
from domain.tenant import Tenant
from storage.counters import total
from storage.database import Reader, Row
from storage.rows import columns, from_row

MAX_DEPTH = 10_000
"""Rows that page numbers can reach, and the limit up to which filtered totals are counted."""

T = TypeVar("T")
Other = TypeVar("Other")

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""No conditions."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list: the time and id of the last row before it."""

    time: datetime
    id: UUID

    def __str__(self) -> str:
        text = json.dumps([self.time.isoformat(), self.id.hex])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Parse the text form of a cursor. Raises Invalid for any other text."""
        try:
            time, row_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            moment = datetime.fromisoformat(time)
            if moment.tzinfo is None:
                raise ValueError("the time of a cursor has a zone")  # noqa: TRY301
            return cls(moment.astimezone(UTC), UUID(row_id))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Invalid.of("after", "is not a cursor of this list") from error


@dataclass(frozen=True, slots=True)
class Window:
    """The requested part of a list: `size` rows after the cursor `after`, else page number `page`, counted from 0."""

    size: int
    page: int = 0
    after: Cursor | None = None
    descending: bool = False

    def __post_init__(self) -> None:
        if self.page * self.size > MAX_DEPTH:
            raise Invalid.of(
                "page",
                f"page numbers reach {MAX_DEPTH} rows deep; follow the Link header's cursor (`after`) from there",
            )


@dataclass(frozen=True, slots=True)
class Alternative:
    """A condition on one value, `flow_id = {}`, with the SQL type of the value and all values that meet it."""

    condition: str
    type: str
    values: Sequence[Any]


Limits = Callable[[Scopes], Sequence[Alternative]]
"""How scopes limit a kind of record: it has to meet one of the alternatives."""


def unreachable(_: Scopes) -> Sequence[Alternative]:
    """Limit records that scopes give no access to."""
    return ()


@dataclass(frozen=True, slots=True)
class Where:
    """SQL conditions, which are trusted text and never input, with the values of their placeholders.

    If there are `alternatives`, one of them has to be met, too: each is a condition with the SQL of an array of values.
    """

    conditions: tuple[str, ...]
    values: tuple[Any, ...]
    alternatives: tuple[tuple[str, str], ...] = ()

    def and_(self, condition: str, *values: Any) -> "Where":
        """Return these conditions and another one, in which each `{}` becomes the placeholder of a value."""
        first = len(self.values) + 1
        places = (f"${n}" for n in range(first, first + len(values)))
        return replace(self, conditions=(*self.conditions, condition.format(*places)), values=(*self.values, *values))

    def within(self, tenant: Tenant, limits: Limits) -> "Where":
        """Return these conditions, limited to the tenant's scopes."""
        if tenant.scopes is None:
            return self
        given = [one for one in limits(tenant.scopes) if one.values]
        if not given:
            return self.and_("false")
        first = len(self.values) + 1
        arrays = [f"${n}::{one.type}[]" for n, one in enumerate(given, first)]
        return replace(
            self,
            values=(*self.values, *(list(one.values) for one in given)),
            alternatives=tuple((one.condition, array) for one, array in zip(given, arrays, strict=True)),
        )

    def __str__(self) -> str:
        either = " OR ".join(condition.format(f"ANY({array})") for condition, array in self.alternatives)
        return " AND ".join((*self.conditions, f"({either})") if either else self.conditions)

    def matching(self, select: str, tail: str) -> str:
        """Return the statement of the rows of `select` that meet the conditions; `tail` is its ORDER BY and LIMIT.

        Of alternatives, the rows of each value are read separately, up to the limit, so that every one uses its index
        however many values there are. Each row is found once: by the first alternative that it meets.
        """
        if not self.alternatives:
            return f"{select} WHERE {self} {tail}"
        parts, conditions = [], self.conditions
        for condition, array in self.alternatives:
            where = " AND ".join((*conditions, condition.format("one.value")))
            parts.append(
                f"SELECT found.* FROM unnest({array}) AS one(value) "
                f"CROSS JOIN LATERAL ({select} WHERE {where} {tail}) AS found"
            )
            conditions = (*conditions, f"({condition.format(f'ANY({array})')}) IS NOT TRUE")
        return f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS found {tail}"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, the total, and the cursor of the next page. `capped`: there are more than `total`."""

    items: list[T]
    total: int
    window: Window
    next: Cursor | None = None
    capped: bool = False

    @property
    def pages(self) -> int:
        """The number of pages of this size that hold the total."""
        return -(-self.total // self.window.size)

    def with_items(self, items: Sequence[Other]) -> "Page[Other]":
        """Return the same page with something else in the place of each item."""
        return Page(list(items), self.total, self.window, self.next, self.capped)


@dataclass(frozen=True, slots=True)
class Fitting:
    """How much the rows of one page may weigh together: see `fetch_fitting`."""

    weight: str
    most: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """How to read one kind of record: one by its id, or a page in the order of (time, id).

    `columns` and `source` follow SELECT and FROM, `make` converts a row, `alias` is the table's alias with a dot. With
    `archivable`, archived rows are left out. Filtered totals are counted over `counted`, or over `source`. All of these
    are trusted SQL, never input. The index of each list needs the time and the id right after its equality columns.
    Without `limits`, a tenant with scopes has no access.
    """

    noun: str
    columns: str
    source: str
    make: Callable[[Row], T]
    alias: str = ""
    time: str = "created_at"
    archivable: bool = False
    counted: str = ""
    limits: Limits = unreachable

    @classmethod
    def plain(
        cls,
        kind: type[T],
        table: str,
        noun: str,
        *,
        time: str = "created_at",
        archivable: bool = False,
        limits: Limits = unreachable,
    ) -> "Listing[T]":
        """Read the rows of one table into a dataclass whose fields are columns of the table."""
        return cls(noun, columns(kind), table, from_row(kind), time=time, archivable=archivable, limits=limits)

    @property
    def select(self) -> str:
        """The statement up to its WHERE."""
        return f"SELECT {self.columns} FROM {self.source}"

    def of(self, tenant: Tenant) -> Where:
        """Return the condition that selects the tenant's rows, without archived ones if they are left out."""
        active = (f"{self.alias}archived_at IS NULL",) if self.archivable else ()
        return Where((f"{self.alias}org_id = $1", *active), (tenant.org_id,)).within(tenant, self.limits)

    def missing(self, one_id: UUID) -> NotFound:
        """Return the error for a record that does not exist or is archived."""
        return NotFound(f"There is no {self.noun} {one_id}.")

    async def get(self, reader: Reader, tenant: Tenant, one_id: UUID) -> T:
        """Return one record. Raises NotFound, also if it is archived or belongs to another organisation."""
        where = self.of(tenant).and_(f"{self.alias}id = {{}}", one_id)
        row = await reader.row(f"{self.select} WHERE {where}", *where.values)
        if row is None:
            raise self.missing(one_id)
        return self.make(row)

    async def page(
        self,
        reader: Reader,
        tenant: Tenant,
        window: Window,
        *,
        within: Mapping[str, Any] = NOTHING,
        filters: Mapping[str, Any] = NOTHING,
        counter: tuple[str, UUID] | None = None,
        fitting: Fitting | None = None,
    ) -> Page[T]:
        """Return the rows of one window with their total; with `fitting`, no more rows than fit (see `fetch_fitting`).

        `within` and `filters` are conditions with their values, `{"flow_id = {}": flow_id}`; a filter whose value is
        None is left out. Without filters and scopes the total is exact if `counter`, a kind and a parent id, is given;
        otherwise counting stops at MAX_DEPTH.
        """
        asked = {condition: value for condition, value in filters.items() if value is not None}
        where = self.of(tenant)
        for condition, value in {**within, **asked}.items():
            where = where.and_(condition, *([value] if "{}" in condition else []))
        if fitting is None:
            items, following = await fetch_page(reader, self, where, window)
        else:
            items, following = await fetch_fitting(reader, self, where, window, **asdict(fitting))
        if counter and not asked and tenant.scopes is None:
            return Page(items, await total(reader, tenant, *counter), window, following)
        number, capped = await capped_count(reader, self.counted or self.source, where)
        return Page(items, number, window, following, capped)


async def fetch_page(
    reader: Reader, listing: Listing[T], where: Where, window: Window
) -> tuple[list[T], Cursor | None]:
    """Return the rows of one window, and the cursor of the next one, if there are more."""
    comparison, direction = ("<", "DESC") if window.descending else (">", "ASC")
    time, row_id = listing.alias + listing.time, f"{listing.alias}id"
    if window.after:
        where = where.and_(f"({time}, {row_id}) {comparison} ({{}}, {{}})", window.after.time, window.after.id)
    order = f"ORDER BY {time} {direction}, {row_id} {direction}"
    limit, offset = (f"${n}" for n in (len(where.values) + 1, len(where.values) + 2))
    sql = f"{listing.select} WHERE {where} {order} LIMIT {limit} OFFSET {offset}"
    if where.alternatives:
        ids = where.matching(
            f"SELECT {time} AS at, {row_id} AS id FROM {listing.counted or listing.source}",
            f"ORDER BY at {direction}, id {direction} LIMIT ({limit}::bigint + {offset}::bigint)",
        )
        rest = f"ORDER BY at {direction}, id {direction} OFFSET {offset}"
        sql = f"{listing.select} WHERE {row_id} = ANY(ARRAY(SELECT id FROM ({ids}) AS first {rest})) {order}"
    skipped = 0 if window.after else window.page * window.size
    rows = await reader.rows(sql, *where.values, window.size + 1, skipped)
    shown = rows[: window.size]
    following = Cursor(shown[-1][listing.time], shown[-1]["id"]) if len(rows) > window.size else None
    return [listing.make(row) for row in shown], following


async def fetch_fitting(
    reader: Reader, listing: Listing[T], where: Where, window: Window, *, weight: str, most: int, whole: bool
) -> tuple[list[T], Cursor | None]:
    """Return the first rows of one window, no more than weigh `most` together but at least one, and the next cursor.

    `weight` is trusted SQL, which should not read large columns. Raises Invalid if the rows have to be `whole` and do
    not fit: whoever counts pages would miss those that are left out.
    """
    time, alias = listing.time, listing.alias
    weighing = f"{alias}{time}, {alias}id, {weight} AS weight"
    weighed: Listing[int] = Listing(listing.noun, weighing, listing.source, itemgetter("weight"), alias, time)
    weights, _ = await fetch_page(reader, weighed, where, window)
    fitting = max(1, bisect_right(list(accumulate(weights)), most))
    if fitting >= len(weights):
        return await fetch_page(reader, listing, where, window)
    if whole:
        raise Invalid.of("size", f"so many {listing.noun}s are too much for one answer; ask for fewer at a time")
    return await fetch_page(reader, listing, where, replace(window, size=fitting))


async def capped_count(reader: Reader, source: str, where: Where) -> tuple[int, bool]:
    """Count the rows of a source that meet the conditions, up to MAX_DEPTH; also return whether there are more."""
    found = where.matching(f"SELECT 1 FROM {source}", f"LIMIT {MAX_DEPTH + 1}")
    counted = await reader.value(f"SELECT count(*) FROM ({found}) AS found", *where.values)
    return min(counted, MAX_DEPTH), counted > MAX_DEPTH
