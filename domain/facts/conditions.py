"""The condition language of templates and policies, compatible with Kosli's: `if` says when a rule applies.

    ${{ flow.tags.tier in ["gold", "silver"] and not matches(artifact.name, "test-.*") }}

`not` binds tighter than `and`, `and` tighter than `or`; comparisons do not chain. A missing value is null: it equals
only null, is neither less nor greater than anything, is in no list and matches nothing. Regular expressions are those
of RE2, which run in linear time, and must match the whole text.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedToken, VisitError

from domain.patterns import BadPattern, compiled_pattern

MAX_TEXT = 4096
MAX_PATTERNS = 10
MAX_PROGRAM = 5_000
"""Instructions of all patterns of one condition; matching a name may take a microsecond for each. A pattern of plain
text has one for each character, but `\\pL` has 1,200."""
MAX_NESTING = 64

_GRAMMAR = r"""
?start: either
?either: both | both (_OR both)+             -> either
?both: negation | negation (_AND negation)+  -> both
?negation: _NOT negation                    -> negation
         | comparison
?comparison: value OPERATOR value           -> comparison
           | value _IN value                -> member
           | value
?value: "(" either ")"
      | _EXISTS "(" value ")"               -> exists
      | _MATCHES "(" value "," STRING ")"   -> matches
      | "[" [value ("," value)* [","]] "]"  -> items
      | STRING                              -> string
      | NUMBER                              -> number
      | CONSTANT                            -> constant
      | FIELD                               -> field
      | TAG                                 -> tag
_OR: /or\b/
_AND: /and\b/
_NOT: /not\b/
_IN: /in\b/
_EXISTS: /exists\b/
_MATCHES: /matches\b/
CONSTANT: /(?:true|false|null)\b/
OPERATOR: "==" | "!=" | "<=" | ">=" | "<" | ">"
TAG.2: /flow\.tags\s*\[\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*\]/
FIELD: /flow\.tags\.[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_])?|(?:flow|artifact)(?:\.(?:name|fingerprint))?(?![\w.])/
STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/
NUMBER: /-?[0-9]{1,15}(?:\.[0-9]{1,15})?/
%import common.WS
%ignore WS
"""


class InvalidCondition(Exception):  # noqa: N818 - reads as an outcome
    """A condition that cannot be parsed, or that does not evaluate to true or false."""


@dataclass(frozen=True, slots=True)
class Context:
    """The values that a condition may use. Those of an artifact or a flow are null where there is none."""

    flow_name: str | None
    flow_tags: Mapping[str, str] = field(default_factory=dict)
    artifact_name: str | None = None
    artifact_fingerprint: str | None = None


Expression = Callable[[Context], Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition, and what its regular expressions cost: their number, and their instructions together."""

    evaluate: Expression
    patterns: int
    program: int


def holds(text: str, context: Context) -> bool:
    """Evaluate the condition. Raises InvalidCondition."""
    answer = compiled(text).evaluate(context)
    if not isinstance(answer, bool):
        raise InvalidCondition("does not say true or false")
    return answer


@lru_cache(maxsize=1024)
def compiled(text: str) -> Condition:
    """Compile the condition.

    Raises InvalidCondition for a syntax error, an unknown field, a bad pattern, and patterns that cost too much.
    """
    inner = text.strip()
    if inner.startswith("${{") and inner.endswith("}}"):
        inner = inner[3:-2]
    if len(inner) > MAX_TEXT:
        raise InvalidCondition(f"is longer than {MAX_TEXT} characters")
    if max(inner.count("("), inner.count("["), inner.count("not")) > MAX_NESTING:
        raise InvalidCondition(f"nests more than {MAX_NESTING} levels")
    compiler = _Compiler()
    try:
        evaluate: Expression = compiler.transform(_parser().parse(inner))
    except VisitError as error:
        raise InvalidCondition(str(error.orig_exc)) from error
    except LarkError as error:
        raise InvalidCondition(_syntax_problem(error, inner)) from error
    return Condition(evaluate, compiler.patterns, compiler.program)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="contextual")


def _syntax_problem(error: LarkError, text: str) -> str:
    place = getattr(error, "column", None)
    if not isinstance(place, int) or place < 1 or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        return "ends too early"
    return f"cannot be read at character {place}: {text[place - 1 : place + 19]!r}"


_FIELDS: Mapping[str, Expression] = {
    "flow": lambda context: context.flow_name,
    "flow.name": lambda context: context.flow_name,
    "artifact": lambda context: context.artifact_name,
    "artifact.name": lambda context: context.artifact_name,
    "artifact.fingerprint": lambda context: context.artifact_fingerprint,
}
_TAGS = "flow.tags."
_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}
_EQUALITY = {"==": operator.eq, "!=": operator.ne}
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class _Compiler(Transformer[Token, Expression]):
    """Turns each rule of the grammar into a function of the context, and adds up what the patterns cost."""

    def __init__(self) -> None:
        super().__init__()
        self.patterns = 0
        self.program = 0

    def either(self, parts: list[Expression]) -> Expression:
        return lambda context: any(_truth(part(context)) for part in parts)

    def both(self, parts: list[Expression]) -> Expression:
        return lambda context: all(_truth(part(context)) for part in parts)

    def negation(self, parts: list[Expression]) -> Expression:
        [inner] = parts
        return lambda context: not _truth(inner(context))

    def comparison(self, parts: list[Any]) -> Expression:
        left, sign, right = parts
        if sign in _EQUALITY:
            same = _EQUALITY[sign]
            return lambda context: bool(same(left(context), right(context)))
        order = _ORDER[sign]
        return lambda context: _ordered(order, left(context), right(context))

    def member(self, parts: list[Expression]) -> Expression:
        item, items = parts
        return lambda context: _within(item(context), items(context))

    def exists(self, parts: list[Expression]) -> Expression:
        [inner] = parts
        return lambda context: inner(context) is not None

    def matches(self, parts: list[Any]) -> Expression:
        self.patterns += 1
        if self.patterns > MAX_PATTERNS:
            raise InvalidCondition(f"has more than {MAX_PATTERNS} patterns")
        subject, pattern = parts[0], _pattern(_unquoted(parts[1]))
        self.program += pattern.programsize
        if self.program > MAX_PROGRAM:
            raise InvalidCondition(f"has patterns that compile to more than {MAX_PROGRAM} instructions together")
        return lambda context: _matches(pattern, subject(context))

    def items(self, parts: list[Expression | None]) -> Expression:
        members = [part for part in parts if part is not None]
        return lambda context: [member(context) for member in members]

    def string(self, parts: list[Token]) -> Expression:
        return _constant(_unquoted(parts[0]))

    def number(self, parts: list[Token]) -> Expression:
        return _constant(float(parts[0]))

    def constant(self, parts: list[Token]) -> Expression:
        return _constant(_CONSTANTS[str(parts[0])])

    def field(self, parts: list[Token]) -> Expression:
        name = str(parts[0])
        if name.startswith(_TAGS):
            return _tag(name.removeprefix(_TAGS))
        if name not in _FIELDS:
            raise InvalidCondition(f"uses the unknown field '{name}'")
        return _FIELDS[name]

    def tag(self, parts: list[Token]) -> Expression:
        return _tag(_unquoted(parts[0].partition("[")[2].rstrip("]").strip()))


def _constant(value: Any) -> Expression:
    return lambda _: value


def _tag(name: str) -> Expression:
    return lambda context: context.flow_tags.get(name)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidCondition("joins with and, or, not what is neither true nor false")
    return value


def _ordered(order: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    if type(left) is not type(right) or not isinstance(left, str | float):
        raise InvalidCondition("compares by order what is neither two numbers nor two texts")
    return order(left, right)


def _within(item: Any, items: Any) -> bool:
    if not isinstance(items, list):
        raise InvalidCondition("looks with `in` into what is no list")
    return item is not None and item in items


def _pattern(text: str) -> Any:
    try:
        return compiled_pattern(text)
    except BadPattern as error:
        raise InvalidCondition(f"has a pattern {error}") from error


def _matches(pattern: Any, subject: Any) -> bool:
    if subject is None:
        return False
    if not isinstance(subject, str):
        raise InvalidCondition("matches what is no text")
    return pattern.fullmatch(subject) is not None


def _unquoted(literal: str) -> str:
    r"""Remove the quotes of a string. A backslash escapes the quote and itself; before other characters it is kept."""
    quote, inner = literal[0], literal[1:-1]
    return inner.replace("\\\\", "\0").replace("\\" + quote, quote).replace("\0", "\\")
