"""Read a handler's signature once at start-up: what it takes from the request and what it returns.

The first argument is `call`; a name in the path is a path parameter; `body`, `query` and `form` are one model each;
`raw: Unread` is a body that the handler reads; `Annotated[X, Header("X-…")]` is a header. Anything else is an error.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel, Json, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.fields import FieldInfo

from api.http.calls import PATH_PARAMETER, Call, Header, Preview, Reply, Route, Upload
from api.http.reading import clean_text
from api.http.transport.bodies import Unread
from api.http.wire import field_keys
from domain.errors import Invalid

REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One path parameter or header of a handler. `default` is `REQUIRED` when the client must send it."""

    argument: str
    place: Literal["path", "header"]
    adapter: TypeAdapter[Any]
    annotation: Any
    default: Any = REQUIRED
    header: Header | None = None

    @property
    def wire_name(self) -> str:
        """The name that the client uses."""
        return self.header.name if self.header else self.argument


@dataclass(frozen=True, slots=True)
class FieldShape:
    """The kind of value that a form or query model takes under one wire name."""

    many: bool = False
    upload: bool = False
    json: bool = False


class Fields:
    """The fields by wire name of a model whose values arrive as text: query strings and forms."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.adapter = adapter_of(model)
        self.shapes = {
            key: _shape(field) for name, field in model.model_fields.items() for key in field_keys(model, name)
        }
        self._unknown = FieldShape() if model.model_config.get("extra") in ("allow", "forbid") else None

    def shape(self, key: str) -> FieldShape | None:
        """Return the shape of a wire name, or None for one to ignore. Raises Invalid for NUL or bad Unicode in it."""
        if key not in self.shapes and self._unknown:
            clean_text("a parameter's name", key)
        return self.shapes.get(key, self._unknown)

    def gather(self, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Return the values as pydantic takes them. Raises Invalid for NUL, bad Unicode and a value given twice."""
        data: dict[str, Any] = {}
        for key, value in pairs:
            shape = self.shape(key)
            if shape is not None:
                put(data, key, clean_text(key, value), many=shape.many)
        return data


@dataclass(frozen=True, slots=True)
class Body:
    """The `body` argument: one JSON value. `default` is `REQUIRED` when the client must send it."""

    adapter: TypeAdapter[Any]
    default: Any


@dataclass(frozen=True, slots=True)
class FormBody:
    """The `form` argument: one model. `default` is `REQUIRED` when the client must send it."""

    fields: Fields
    default: Any


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments and the answer of one handler."""

    parameters: tuple[Parameter, ...]
    query: Fields | None
    body: Body | None
    form: FormBody | None
    raw: bool
    answer: "Answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler may return.

    `body` serialises every kind of it, `own` the answer with the route's status, `preview` the answer to a dry run.
    `streams` means that the handler may return a finished response.
    """

    body: TypeAdapter[Any] | None
    own: TypeAdapter[Any] | None
    preview: TypeAdapter[Any] | None
    streams: bool


def put(data: dict[str, Any], key: str, value: Any, *, many: bool) -> None:
    """Add one value under its wire name. Raises Invalid when a single value comes twice."""
    if many:
        data.setdefault(key, []).append(value)
    elif key in data:
        raise Invalid.of(key, "given twice")
    else:
        data[key] = value


def adapter_of(hint: Any) -> TypeAdapter[Any]:
    """Return the validator and serialiser of a type, cached per class as building them is most of the start-up."""
    return _adapter_of_class(hint) if isinstance(hint, type) else TypeAdapter(hint)


@cache
def _adapter_of_class(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_arguments(route: Route) -> Arguments:
    """Return the signature of a route's handler. Raises TypeError, naming the handler and what is wrong with it."""
    try:
        return _Reader(route).signature()
    except (PydanticSchemaGenerationError, NameError) as error:
        raise TypeError(f"{route.name}: {error}") from error


class _Reader:
    def __init__(self, route: Route) -> None:
        self.name = route.name
        self.path_names = [found[1] for found in PATH_PARAMETER.finditer(route.path)]
        self.hints = get_type_hints(route.handler, include_extras=True)
        self.arguments = inspect.signature(route.handler).parameters

    def signature(self) -> Arguments:
        rest = self._after_call()
        readers: dict[str, Callable[[Any, Any], Any]] = {
            "query": self._query, "body": self._body, "form": self._form, "raw": self._raw,
        }  # fmt: skip
        found: dict[str, Any] = {}
        parameters = []
        for argument in rest:
            hint, default = self.hints.get(argument.name, REQUIRED), argument.default
            if argument.name in readers and argument.name not in self.path_names:
                found[argument.name] = readers[argument.name](hint, default)
            else:
                parameters.append(self._parameter(argument.name, hint, default))
        self._check(found)
        return Arguments(
            tuple(parameters),
            found.get("query"),
            found.get("body"),
            found.get("form"),
            found.get("raw", False),
            self._answer(),
        )

    def _after_call(self) -> list[inspect.Parameter]:
        first, *rest = self.arguments.values() or (None,)
        if first is None or self.hints.get(first.name) is not Call:
            raise TypeError(f"{self.name}: the first argument must be `call: Call`")
        for argument in rest:
            if argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL, argument.POSITIONAL_ONLY):
                raise TypeError(f"{self.name}: argument {argument.name} cannot be given by name")
        missing = set(self.path_names) - {argument.name for argument in rest}
        if missing:
            raise TypeError(f"{self.name}: path parameter {min(missing)} is not an argument")
        return rest

    def _check(self, found: dict[str, Any]) -> None:
        if "raw" in found and ("body" in found or "form" in found):
            raise TypeError(f"{self.name}: takes both raw and body or form")
        if "body" in found and "form" in found and REQUIRED in (found["body"].default, found["form"].default):
            raise TypeError(f"{self.name}: takes body and form, so both need a default of None")

    def _parameter(self, name: str, hint: Any, default: Any) -> Parameter:
        if name in self.path_names and hint is not REQUIRED:
            return Parameter(name, "path", adapter_of(hint), hint)
        header = next((mark for mark in get_args(hint)[1:] if isinstance(mark, Header)), None)
        if get_origin(hint) is not Annotated or header is None:
            raise TypeError(f"{self.name}: cannot tell where argument {name} comes from")
        return Parameter(name, "header", adapter_of(hint), hint, default, header)

    def _query(self, hint: Any, default: Any) -> Fields:
        if default is not REQUIRED:
            raise TypeError(f"{self.name}: query has a default; give its fields one")
        return Fields(self._model("query", hint))

    def _body(self, hint: Any, default: Any) -> Body:
        if hint is REQUIRED:
            raise TypeError(f"{self.name}: body has no annotation")
        return Body(adapter_of(hint), default)

    def _form(self, hint: Any, default: Any) -> FormBody:
        return FormBody(Fields(self._model("form", hint if default is REQUIRED else _without_none(hint))), default)

    def _raw(self, hint: Any, default: Any) -> bool:
        if hint is not Unread or default is not REQUIRED:
            raise TypeError(f"{self.name}: raw must be `raw: Unread`")
        return True

    def _model(self, argument: str, hint: Any) -> type[BaseModel]:
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            return hint
        raise TypeError(f"{self.name}: {argument} must be one pydantic model, not {hint!r}")

    def _answer(self) -> Answer:
        if "return" not in self.hints:
            raise TypeError(f"{self.name}: has no return annotation")
        members = _members(self.hints["return"])
        previews = [inner for one in members if get_origin(one) is Preview for inner in _members(*get_args(one))]
        others = [one for one in members if get_origin(one) is not Preview]
        others = [inner for one in others for inner in (_members(*get_args(one)) if _is_reply(one) else [one])]
        own = [one for one in others if not _is_response(one) and one is not NoneType]
        streams = any(_is_response(one) for one in others)
        return Answer(_union(own + previews), _union(own), _union(previews), streams)


def _union(hints: list[Any]) -> TypeAdapter[Any] | None:
    return adapter_of(reduce(or_, hints)) if hints else None


def _members(hint: Any) -> list[Any]:
    return list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]


def _without_none(hint: Any) -> Any:
    members = [one for one in _members(hint) if one is not NoneType]
    return members[0] if len(members) == 1 else hint


def _is_reply(hint: Any) -> bool:
    return get_origin(hint) is Reply


def _is_response(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, web.StreamResponse)


def _shape(field: FieldInfo) -> FieldShape:
    many = any(_is_collection(one) for one in _members(_bare(field.annotation)))
    inner = _leaves(field.annotation)
    return FieldShape(many, Upload in inner, _is_json(field.annotation) or any(_is_json(one) for one in field.metadata))


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _is_collection(hint: Any) -> bool:
    return get_origin(_bare(hint)) in (list, set, frozenset, tuple, Sequence)


def _is_json(hint: Any) -> bool:
    return hint is Json or type(hint) is Json or any(_is_json(one) for one in get_args(hint))


def _leaves(hint: Any) -> set[Any]:
    inner = get_args(hint)
    if get_origin(hint) is Literal or not inner:
        return {hint} if isinstance(hint, type) else set()
    return set().union(*(_leaves(one) for one in inner))
