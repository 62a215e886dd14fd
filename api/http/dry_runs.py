"""What a change answers: its outcome with the version as ETag, or, of a dry run, a preview of it."""

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel

from api.http.calls import Header, Preview, Reply
from api.http.versions import etag
from api.http.wire import WireModel

T = TypeVar("T", bound=BaseModel)

DryRun = Annotated[bool, Header("X-Dry-Run", aliases=("X-Factstore-Dry-Run",), query="dryRun")]
"""The switch: our header, OpenFactstore's, or the query parameter."""


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


if TYPE_CHECKING:
    Created = Reply[T] | Preview[WouldCreate[T]]
    Updated = Reply[T] | Preview[WouldUpdate[T]]
    Deleted = Preview[WouldDelete[T]] | None
else:  # a generic model of pydantic hides its type variable, so that typing cannot put a model in its place

    class Created:
        """What a creation answers: `Created[FlowOut]`."""

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:
            return Reply[model] | Preview[WouldCreate[model]]

    class Updated:
        """What a change answers."""

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:
            return Reply[model] | Preview[WouldUpdate[model]]

    class Deleted:
        """What a deletion answers."""

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:
            return Preview[WouldDelete[model]] | None


def created(body: T, *, dry_run: bool) -> Created[T]:
    """What was made, or would be."""
    return Preview(_model(WouldCreate, body)(would_create=body)) if dry_run else versioned(body)


def updated(body: T, *, dry_run: bool) -> Updated[T]:
    """What it is after the change, or would be."""
    return Preview(_model(WouldUpdate, body)(would_update=body)) if dry_run else versioned(body)


def deleted(body: T, *, dry_run: bool) -> Deleted[T]:
    """204 without a body, or what would be deleted."""
    return Preview(_model(WouldDelete, body)(would_delete=body)) if dry_run else None


def _model(preview: Any, body: BaseModel) -> Any:
    return preview[type(body)]


def versioned(body: T) -> Reply[T]:
    """What it is, with its version as ETag where it has one."""
    version = getattr(body, "version", None)
    return Reply(body, headers={} if version is None else etag(version))
