"""Pagination: query parameters, page objects, and the headers `X-Total-Count` and `Link`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field

from api.http.calls import Call, Reply
from api.http.wire import WireIn, WireModel
from storage.paging import Cursor, Page, Window

DEFAULT_SIZE = 20
MAX_SIZE = 500


T = TypeVar("T")
Out = TypeVar("Out", bound=WireModel)


class PageQuery(WireIn):
    """`page` counts from 0. `after` continues after the last row of the previous page, at any depth (see `Link`)."""

    page: Annotated[int, Field(ge=0, description="Page number, from 0")] = 0
    size: Annotated[int, Field(ge=1, le=MAX_SIZE, description="Rows per page")] = DEFAULT_SIZE
    after: Annotated[str | None, Field(max_length=200, description="Cursor from a Link header; replaces page")] = None

    @property
    def paged(self) -> bool:
        """Whether `page` or `size` is given."""
        return not self.model_fields_set.isdisjoint({"page", "size"})

    @property
    def counts_pages(self) -> bool:
        """Whether the next page may be asked for by its number, and not by a cursor."""
        return self.after is None and self.paged

    def window(self, *, descending: bool = False) -> Window:
        """Return the requested part of the list. Raises Invalid for a malformed cursor."""
        after = Cursor.parse(self.after) if self.after else None
        return Window(self.size, self.page, after, descending)

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters of the list, as keyword arguments of its query."""
        return {}


class ListQuery(PageQuery):
    """The parameters of lists that are returned as arrays: by default as many rows as one answer may have."""

    size: Annotated[int, Field(ge=1, le=MAX_SIZE, description="Rows in the response")] = MAX_SIZE


class EitherQuery(PageQuery):
    """With `page` or `size` the answer is a page object, without them an array."""

    def window(self, *, descending: bool = False) -> Window:
        """Return the requested part of the list: of an array, as many rows as one answer may have."""
        asked = super().window(descending=descending)
        return asked if self.paged else replace(asked, size=MAX_SIZE)


class PageOut(WireModel, Generic[T]):
    """One page of a list, with the total number of items and pages."""

    items: list[T]
    page: int
    size: int
    total_items: int
    total_pages: int


def list_reply(call: Call, page: Page[Any], answer: type[Out]) -> Reply[list[Out]]:
    """Return a page of records as an array, with its headers."""
    return Reply([answer.of(record, call) for record in page.items], headers=list_headers(call.request, page))


def page_reply(call: Call, page: Page[Any], answer: type[Out]) -> Reply[PageOut[Out]]:
    """Return a page of records as a page object, with its headers."""
    body = PageOut[answer](  # type: ignore[valid-type]  # a model known when the program starts
        items=[answer.of(record, call) for record in page.items],
        page=page.window.page,
        size=page.window.size,
        total_items=page.total,
        total_pages=page.pages,
    )
    return Reply(body, headers=list_headers(call.request, page))


def either_reply(
    call: Call, query: EitherQuery, page: Page[Any], answer: type[Out]
) -> Reply[list[Out]] | Reply[PageOut[Out]]:
    """Return a page of records as the page object or the array that was asked for, with its headers."""
    return page_reply(call, page, answer) if query.paged else list_reply(call, page, answer)


def list_headers(request: web.Request, page: Page[Any]) -> dict[str, str]:
    """Return `X-Total-Count`, and a `Link` to the next page if there is one (RFC 8288)."""
    headers = {"X-Total-Count": f"{page.total}+" if page.capped else str(page.total)}
    if page.next:
        kept = [(name, value) for name, value in request.query.items() if name not in {"page", "size", "after"}]
        if not request.query.keys().isdisjoint({"page", "size"}):
            kept.append(("size", str(page.window.size)))
        target = f"{request.path}?{urlencode([*kept, ('after', str(page.next))])}"
        headers["Link"] = f'<{target}>; rel="next"'
    return headers
