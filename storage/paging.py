"""Pages: keyset by (time, id), with page numbers for clients that know nothing else, as deep as they stay cheap."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from domain.errors import Invalid
from storage.database import Reader, Row

MAX_DEPTH = 10_000
"""How far page numbers reach, and where filtered totals stop counting."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place behind a row: the time and id it is ordered by."""

    time: datetime
    id: UUID

    def __str__(self) -> str:
        text = json.dumps([self.time.isoformat(), self.id.hex])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises Invalid for what we did not write."""
        try:
            time, row_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            moment = datetime.fromisoformat(time)
            if moment.tzinfo is None:
                raise ValueError("a cursor has a zone")  # noqa: TRY301
            return cls(moment.astimezone(UTC), UUID(row_id))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Invalid.of("after", "is not a cursor of this list") from error


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list: `size` rows behind the cursor `after`, else those of page `page` (from 0)."""

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
class Listing(Generic[T]):
    """A list: its `SELECT … FROM …`, the columns it is ordered by, and what a row becomes.

    Both columns come right behind the equalities in an index. All of it is SQL of our own.
    """

    select: str
    time: str
    id: str
    make: Callable[[Row], T]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, how many there are in all, and where the next page begins. `capped`: there are more than `total`."""

    items: list[T]
    total: int
    window: Window
    next: Cursor | None = None
    capped: bool = False

    @property
    def pages(self) -> int:
        """How many pages of this size the total fills."""
        return -(-self.total // self.window.size)


async def fetch_page(
    reader: Reader, listing: Listing[T], conditions: Sequence[str], args: Sequence[Any], window: Window
) -> Page[T]:
    """The rows of one window; the caller sets the total.

    `conditions` are SQL of our own; every value stands in `args`, in the order of their `$n`.
    """
    where, values = list(conditions), list(args)
    comparison, direction = ("<", "DESC") if window.descending else (">", "ASC")
    if window.after:
        values += [window.after.time, window.after.id]
        where.append(f"({listing.time}, {listing.id}) {comparison} (${len(values) - 1}, ${len(values)})")
    values += [window.size + 1, 0 if window.after else window.page * window.size]
    rows = await reader.rows(
        f"{listing.select} WHERE {' AND '.join(where)} ORDER BY {listing.time} {direction}, {listing.id} {direction} "
        f"LIMIT ${len(values) - 1} OFFSET ${len(values)}",
        *values,
    )
    more = rows[window.size :]
    shown = rows[: window.size]
    following = _behind(shown[-1], listing) if more else None
    return Page([listing.make(row) for row in shown], 0, window, following)


def with_total(page: Page[T], total: int, *, capped: bool = False) -> Page[T]:
    """The page with its total."""
    return replace(page, total=total, capped=capped)


def _behind(row: Row, listing: Listing[Any]) -> Cursor:
    return Cursor(row[listing.time.rpartition(".")[2]], row[listing.id.rpartition(".")[2]])


def equalities(wanted: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    """Conditions that these columns have these values, with the values as `$1` and on; None asks for nothing.

    Columns are SQL of our own. Further conditions may follow behind.
    """
    given = {column: value for column, value in wanted.items() if value is not None}
    return [f"{column} = ${n}" for n, column in enumerate(given, start=1)], list(given.values())


async def capped_count(reader: Reader, table: str, conditions: Sequence[str], args: Sequence[Any]) -> tuple[int, bool]:
    """How many rows pass the filters, counted up to MAX_DEPTH; the second part says whether there are more."""
    counted = await reader.value(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {' AND '.join(conditions)} LIMIT {MAX_DEPTH + 1}) AS found",  # noqa: S608
        *args,
    )
    return min(counted, MAX_DEPTH), counted > MAX_DEPTH
