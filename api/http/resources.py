"""Create, list, get, update and delete routes for a kind of resource, generated from its commands and queries.

An operation that does more than call its command or query is a handler of its own.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

from api.http.calls import Call, Handler, Reply, Route
from api.http.dry_runs import Created, Deleted, DryRun, Updated, created, deleted, updated, versioned
from api.http.paging import EitherQuery, ListQuery, PageOut, either_reply, list_reply
from api.http.versions import IfMatch, expected_versions
from api.http.wire import WireIn, WireModel
from domain.identity.permissions import Permission
from domain.tenant import Tenant
from storage.database import Reader

Storage = Callable[..., Awaitable[Any]]
"""A command or a query of the storage layer."""


Complete = Callable[[Reader, Tenant, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Adds to records what their answers show beyond them, in a bounded number of statements."""


async def _as_they_are(_reader: Reader, _tenant: Tenant, records: Sequence[Any]) -> Sequence[Any]:
    return records


class CommandBody(Protocol):
    """A request body that converts itself to the input of its command."""

    def to_command(self) -> Any:
        """Return the input of the command. Raises Invalid."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a generated handler; required unless it has a default."""

    name: str
    hint: Any
    default: Any = inspect.Parameter.empty


_DRY_RUN = Argument("dry_run", DryRun, default=False)
_IF_MATCH = Argument("if_match", IfMatch, default=None)


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of resource.

    `noun` and `plural` make the names of its operations: "provenance key" gives `create_provenance_key`. `path` is the
    path of the collection; one member is at `path/{provenance_key_id}`, or `path/{identifier}` where that is set.
    `answer` is the response model, made of what `complete` returns for a record. `read` and `manage` are the
    permissions for reading and for changing. The first line of an operation's `summary` is its title in the OpenAPI
    document, the rest its description.
    """

    noun: str
    plural: str
    path: str
    answer: type[WireModel]
    read: Permission
    manage: Permission
    identifier: str = ""
    complete: Complete = _as_they_are

    def create(self, command: Storage, body: type[WireIn], summary: str, *, errors: tuple[int, ...] = (409,)) -> Route:
        """POST: `command(tx, tenant, new, actor)`, where `new` is the body's `to_command()`."""

        async def handler(call: Call, body: CommandBody, dry_run: bool) -> Any:
            new = body.to_command()
            async with call.transaction(dry_run=dry_run) as tx:
                [made] = await self.complete(tx, call.tenant, [await command(tx, call.tenant, new, call.actor)])
            return created(self.answer.of(made, call), dry_run=dry_run)

        arguments = (Argument("body", body), _DRY_RUN)
        bound = self._bound(handler, "create", summary, self._of(Created), *arguments)
        return Route("POST", self.path, bound, self.manage, status=HTTPStatus.CREATED, errors=errors)

    def list(self, find: Storage, summary: str, *, parameters: type[ListQuery | EitherQuery] = ListQuery) -> Route:
        """GET: `find(reader, tenant, window, **filters)`, where `filters` are the parameters' `to_filters()`."""
        either = issubclass(parameters, EitherQuery)

        async def handler(call: Call, query: ListQuery | EitherQuery) -> Any:
            async with call.read() as reader:
                page = await find(reader, call.tenant, query.window(), **query.to_filters())
                page = page.with_items(await self.complete(reader, call.tenant, page.items))
            if isinstance(query, EitherQuery):
                return either_reply(call, query, page, self.answer)
            return list_reply(call, page, self.answer)

        arguments = Argument("query", parameters)
        answer = self._of(Reply, self._of(list))
        if either:
            answer |= self._of(Reply, self._of(PageOut))
        bound = self._bound(handler, "list", summary, answer, arguments)
        return Route("GET", self.path, bound, self.read)

    def get(self, find: Storage, summary: str) -> Route:
        """GET of one: `find(reader, tenant, id)`; its version is its ETag."""

        async def handler(call: Call, **path: UUID) -> Any:
            async with call.read() as reader:
                [record] = await self.complete(reader, call.tenant, [await find(reader, call.tenant, *path.values())])
            return versioned(self.answer.of(record, call))

        bound = self._bound(handler, "get", summary, self._of(Reply), self._id)
        return Route("GET", self._one, bound, self.read)

    def update(
        self, command: Storage, body: type[WireIn], summary: str, *, errors: tuple[int, ...] = (409, 412)
    ) -> Route:
        """PUT: `command(tx, tenant, id, change, actor, expected=versions)`, with the body's `to_command()`."""

        async def handler(call: Call, body: CommandBody, dry_run: bool, if_match: str | None, **path: UUID) -> Any:
            change, expected = body.to_command(), expected_versions(if_match)
            async with call.transaction(dry_run=dry_run) as tx:
                changed = await command(tx, call.tenant, *path.values(), change, call.actor, expected=expected)
                [record] = await self.complete(tx, call.tenant, [changed])
            return updated(self.answer.of(record, call), dry_run=dry_run)

        arguments = (self._id, Argument("body", body), _DRY_RUN, _IF_MATCH)
        bound = self._bound(handler, "update", summary, self._of(Updated), *arguments)
        return Route("PUT", self._one, bound, self.manage, errors=errors)

    def delete(self, command: Storage, summary: str, *, errors: tuple[int, ...] = (412,)) -> Route:
        """DELETE: `command(tx, tenant, id, actor, expected=versions)`, which archives the resource."""

        async def handler(call: Call, dry_run: bool, if_match: str | None, **path: UUID) -> Any:
            expected = expected_versions(if_match)
            async with call.transaction(dry_run=dry_run) as tx:
                archived = await command(tx, call.tenant, *path.values(), call.actor, expected=expected)
                [record] = await self.complete(tx, call.tenant, [archived])
            return deleted(self.answer.of(record, call), dry_run=dry_run)

        arguments = (self._id, _DRY_RUN, _IF_MATCH)
        bound = self._bound(handler, "delete", summary, self._of(Deleted), *arguments)
        return Route("DELETE", self._one, bound, self.manage, errors=errors)

    def _of(self, generic: Any, model: Any = None) -> Any:
        """Apply a generic answer to this resource's model: `Created[FlowOut]`."""
        return generic[model or self.answer]

    @property
    def _id(self) -> Argument:
        return Argument(self.identifier or f"{self.noun.replace(' ', '_')}_id", UUID)

    @property
    def _one(self) -> str:
        return f"{self.path}/{{{self._id.name}}}"

    def _bound(self, handler: Handler, verb: str, summary: str, answer: Any, *arguments: Argument) -> Handler:
        """Return the handler with the name, docstring and signature that a handwritten one would have."""
        defaults = {one.name: one.default for one in arguments if one.default is not inspect.Parameter.empty}

        async def bound(call: Call, **given: Any) -> Any:
            return await handler(call, **{**defaults, **given})

        subject = self.plural if verb == "list" else self.noun
        bound.__name__ = f"{verb}_{subject.replace(' ', '_')}"
        bound.__doc__ = summary
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter("call", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        parameters += [inspect.Parameter(one.name, kind, default=one.default) for one in arguments]
        bound.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        bound.__annotations__ = {"call": Call, **{one.name: one.hint for one in arguments}, "return": answer}
        return bound
