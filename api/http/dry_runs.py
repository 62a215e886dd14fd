"""Answers to changes: the outcome with its version as ETag or, for a dry run, a preview of the outcome."""

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel

from api.http.calls import Header, Preview, Reply
from api.http.versions import etag
from api.http.wire import WireModel

T = TypeVar("T", bound=BaseModel)

DryRun = Annotated[bool, Header("X-Dry-Run", aliases=("X-Factstore-Dry-Run",), query="dryRun")]
"""The dry-run switch: Trailgate's header, OpenFactstore's header, or the query parameter."""


class _DryRunOut(WireModel):
    dry_run: bool = True
    dry_run_message: str = "Everything was checked and nothing was stored."


class WouldCreate(_DryRunOut, Generic[T]):
    """The result of a dry run that creates: the resource that would be created. Nothing was stored."""

    would_create: T


class WouldUpdate(_DryRunOut, Generic[T]):
    """The result of a dry run that updates: the resource as it would be. Nothing was stored."""

    would_update: T


class WouldDelete(_DryRunOut, Generic[T]):
    """The result of a dry run that deletes: the resource that would be deleted. Nothing was stored."""

    would_delete: T


if TYPE_CHECKING:
    Created = Reply[T] | Preview[WouldCreate[T]]
    Updated = Reply[T] | Preview[WouldUpdate[T]]
    Deleted = Preview[WouldDelete[T]] | None
else:  # pydantic's generic models hide their type variable, so that `typing` cannot substitute a model for it

    class Created:
        """The answer to a creation: `Created[FlowOut]`."""

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:
            return Reply[model] | Preview[WouldCreate[model]]

    class Updated:
        """The answer to an update."""

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:
            return Reply[model] | Preview[WouldUpdate[model]]

    class Deleted:
        """The answer to a deletion."""

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:
            return Preview[WouldDelete[model]] | None


def created(body: T, *, dry_run: bool) -> Created[T]:
    """Return the created resource or, for a dry run, its preview."""
    return Preview(_model(WouldCreate, body)(would_create=body)) if dry_run else versioned(body)


def updated(body: T, *, dry_run: bool) -> Updated[T]:
    """Return the updated resource or, for a dry run, its preview."""
    return Preview(_model(WouldUpdate, body)(would_update=body)) if dry_run else versioned(body)


def deleted(body: T, *, dry_run: bool) -> Deleted[T]:
    """Return None (204 without a body) or, for a dry run, the resource that would be deleted."""
    return Preview(_model(WouldDelete, body)(would_delete=body)) if dry_run else None


def _model(preview: Any, body: BaseModel) -> Any:
    return preview[type(body)]


def versioned(body: T) -> Reply[T]:
    """Return the resource, with its version as ETag if it has one."""
    version = vars(body).get("version")
    return Reply(body, headers={} if version is None else etag(version))
