"""Users' templates for titles and messages: Jinja2 in its sandbox, without a loader.

Checking a template parses it and executes nothing. Rendering executes what a user wrote, which may loop and allocate
without limit: do it in a process with resource limits (workers/notifications/template_process.py).
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from domain.errors import Invalid

MAX_SOURCE = 8 * 1024
MAX_OUTPUT = 16 * 1024
"""Both in bytes of UTF-8."""
VARIABLES = (
    "title",
    "message",
    "severity",
    "triggerEvent",
    "entityType",
    "entityId",
    "flowId",
    "environmentId",
    "data",
    "occurredAt",
)
"""The variables that a template may use."""
MAX_REASON = 300

_LOADING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_IMPLICIT = ("loop", "caller", "varargs", "kwargs", "self", "super")
"""Names that Jinja2 itself defines within a loop, a macro or a block."""
_EXPECTING_ABSENCE = frozenset({"default", "d", "defined", "undefined"})
"""Filters and tests for variables that may not exist."""
_INVISIBLE = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}
_KEPT = 64
"""Compiled templates that a process caches."""


class TemplateFailed(Exception):  # noqa: N818 - reads as an outcome
    """A template could not be rendered. The reason may be shown to members of its organisation."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _nothing_for_none(value: Any) -> Any:
    return "" if value is None else value


_environment = ImmutableSandboxedEnvironment(
    autoescape=False,  # plain text: each channel escapes it for its own markup
    undefined=StrictUndefined,
    finalize=_nothing_for_none,
)
for _name in ("cycler", "joiner", "lipsum"):  # not needed, and their Python globals were used for sandbox escapes
    del _environment.globals[_name]

FILTERS = tuple(sorted(_environment.filters))
"""The filters that a template may use: those of Jinja2."""


def check_template(field: str, source: str) -> None:
    """Raise Invalid, naming the field and the line, for a template that can never be rendered. Executes nothing."""
    if not source.strip():
        raise Invalid.of(field, "must not be blank")
    if len(source.encode()) > MAX_SOURCE:
        raise Invalid.of(field, f"has more than {MAX_SOURCE} bytes")
    try:
        problem = next(_problems(_environment.parse(source)), None)
    except TemplateSyntaxError as error:
        problem = (error.lineno, error.message or "cannot be read")
    except RecursionError:
        raise Invalid.of(field, "is nested too deeply") from None
    except ValueError as error:  # a number with more digits than Python parses
        raise Invalid.of(field, f"cannot be read: {error}") from error
    if problem:
        raise Invalid.of(field, f"line {problem[0]}: {problem[1]}")


def _problems(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Yield (line, problem) for references to templates, filters, tests and variables that do not exist."""
    for loading in tree.find_all(_LOADING):
        yield loading.lineno, "there are no other templates to include, import or extend"
    for applied in tree.find_all(nodes.Filter):
        if applied.name not in FILTERS:
            yield applied.lineno, f"there is no filter '{applied.name}'"
    for test in tree.find_all(nodes.Test):
        if test.name not in _environment.tests:
            yield test.lineno, f"there is no test '{test.name}'"
    known = {*VARIABLES, *_environment.globals, *_IMPLICIT, *_named(tree)}
    for used in tree.find_all(nodes.Name):
        if used.name not in known:
            yield used.lineno, f"there is no variable '{used.name}'; the variables are {', '.join(VARIABLES)}"


def _named(tree: nodes.Template) -> Iterator[str]:
    """Yield the names that a template sets itself, and those whose absence it expects."""
    for name in tree.find_all(nodes.Name):
        if name.ctx != "load":
            yield name.name
    for macro in tree.find_all(nodes.Macro):
        yield macro.name
    for asked in tree.find_all((nodes.Filter, nodes.Test)):
        if asked.name in _EXPECTING_ABSENCE and isinstance(asked.node, nodes.Name):
            yield asked.node.name


@lru_cache(_KEPT)
def _compiled(source: str) -> Template:
    return _environment.from_string(source)


def rendered(source: str, variables: Mapping[str, Any]) -> str:
    """Render a template, without control characters. Raises TemplateFailed. Time and memory are not limited here.

    Compiling folds constant expressions, so it executes code as well and is not done before this.
    """
    try:
        return _text(source, variables).translate(_INVISIBLE)
    except Exception as error:
        raise TemplateFailed(_reason(error)) from error


def _text(source: str, variables: Mapping[str, Any]) -> str:
    parts, size = [], 0
    for part in _compiled(source).generate(variables):
        parts.append(part)
        size += len(part) if len(part) > MAX_OUTPUT else len(part.encode())
        if size > MAX_OUTPUT:
            raise TemplateFailed(f"The text has more than {MAX_OUTPUT} bytes")
    return "".join(parts)


def _reason(error: Exception) -> str:
    """Describe a failure; a user's expression may raise any exception."""
    match error:
        case TemplateFailed():
            return error.reason
        case MemoryError():
            return "The template needs too much memory"
        case RecursionError():
            return "The template is nested too deeply or recurses without end"
        case UnicodeEncodeError():
            return "The text contains characters that cannot be encoded as UTF-8"
        case TemplateError():
            return _short(error.message or type(error).__name__)
        case _:
            return _short(f"{type(error).__name__}: {error}")


def _short(reason: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in reason)
    return printable if len(printable) <= MAX_REASON else f"{printable[:MAX_REASON]}…"
