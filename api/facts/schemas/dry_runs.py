"""Dry runs on the wire (facts.md 2.4)."""

from typing import Annotated, Generic, TypeVar

from api.calls import Header, Reply
from api.wire import WireModel

T = TypeVar("T")

DryRun = Annotated[bool, Header("X-Dry-Run", aliases=("X-Factstore-Dry-Run",), query="dryRun")]
"""The switch: the seed's header, the original's, or the query parameter."""


class WouldCreate(WireModel, Generic[T]):
    """What a creation would have answered; nothing of it was kept."""

    dry_run: bool = True
    dry_run_message: str = "Everything was checked and nothing was stored."
    would_create: T


def created(body: T, *, dry_run: bool) -> T | Reply[WouldCreate[T]]:
    """The route's own answer, or its dry-run twin with status 200."""
    return Reply(WouldCreate[type(body)](would_create=body), status=200) if dry_run else body  # type: ignore[operator, misc]
