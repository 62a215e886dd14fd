"""Dry runs on the wire (facts.md 2.4)."""

from typing import Annotated, Generic, TypeVar

from api.http.calls import Header, Preview
from api.http.wire import WireModel

T = TypeVar("T")

DryRun = Annotated[bool, Header("X-Dry-Run", aliases=("X-Factstore-Dry-Run",), query="dryRun")]
"""The switch: the seed's header, the original's, or the query parameter."""


class _Rehearsed(WireModel):
    dry_run: bool = True
    dry_run_message: str = "Everything was checked and nothing was stored."


class WouldCreate(_Rehearsed, Generic[T]):
    """What a creation would have answered; nothing of it was kept."""

    would_create: T


class WouldUpdate(_Rehearsed, Generic[T]):
    """What a change would have answered; nothing of it was kept."""

    would_update: T


class WouldDelete(_Rehearsed, Generic[T]):
    """What would have been deleted; it is still there."""

    would_delete: T


def created(body: T, *, dry_run: bool) -> T | Preview[WouldCreate[T]]:
    """The route's own answer, or its dry-run twin."""
    return Preview(WouldCreate[type(body)](would_create=body)) if dry_run else body  # type: ignore[operator, misc]


def updated(body: T, *, dry_run: bool) -> T | Preview[WouldUpdate[T]]:
    """The route's own answer, or its dry-run twin."""
    return Preview(WouldUpdate[type(body)](would_update=body)) if dry_run else body  # type: ignore[operator, misc]


def deleted(body: T, *, dry_run: bool) -> Preview[WouldDelete[T]] | None:
    """204 without a body, or what would have been deleted."""
    return Preview(WouldDelete[type(body)](would_delete=body)) if dry_run else None  # type: ignore[operator, misc]
