"""What the engine does not tell of a Rego module, or takes for something else: its package, and partial sets of old.

The engine takes `deny[msg] { … }`, a set in Rego before 1.0, for an object whose values are `true`. Whatever iterates
over such a set would find `true` in place of its members; so it is given `deny contains msg { … }`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_NAME = r"[A-Za-z_]\w*+"
_PACKAGE = re.compile(rf'(?>\s+|\#[^\n]*+)*+package\s++({_NAME}(?:\.{_NAME}|\["[^"\\\n]*+"\])*+)')
_PART = re.compile(rf'\["([^"]*)"\]|({_NAME})')
_TOKEN = re.compile(
    rf'[^\S\n]++|\#[^\n]*+|(?P<line>\n)|(?P<text>"(?:[^"\\\n]|\\.)*+"|`[^`]*+`)|(?P<name>{_NAME})|(?P<other>.)',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([u/])|.)")
_DEEPER = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_NO_RULES = frozenset({"package", "import", "default", "else"})


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    depth: int
    """How many brackets are open before it."""


def package_of(module: str) -> tuple[str, ...]:
    """Return the parts of the package's name; none if the module does not begin with one that can be read."""
    found = _PACKAGE.match(module)
    return tuple(quoted or plain for quoted, plain in _PART.findall(found[1])) if found else ()


def with_sets(module: str) -> str:
    """Return the module with `contains` in the heads of partial sets. Every line keeps its number."""
    tokens = _tokens(module)
    places = [
        (tokens[n + 1].start, closing.start)
        for n, token in enumerate(tokens)
        if _begins_rule(tokens, n, token) and (closing := _closing_of_set(tokens, n + 1))
    ]
    pieces, end = [], 0
    for opening, closing_at in places:
        pieces += [module[end:opening], " contains ", module[opening + 1 : closing_at]]
        end = closing_at + 1
    return "".join([*pieces, module[end:]])


def unread_escapes(module: str) -> list[int]:
    r"""Return the lines of texts with `\u` or `\/`, which the engine does not take for the character that is meant."""
    return [
        module.count("\n", 0, token.start) + 1
        for token in _tokens(module)
        if token.text.startswith('"') and any(one[1] for one in _ESCAPE.finditer(token.text))
    ]


def _tokens(module: str) -> list[_Token]:
    tokens, depth = [], 0
    for found in _TOKEN.finditer(module):
        if found.lastgroup:
            tokens.append(_Token(found.lastgroup, found[0], found.start(), depth))
            depth += _DEEPER.get(found[0], 0)
    return tokens


def _begins_rule(tokens: Sequence[_Token], n: int, token: _Token) -> bool:
    """Whether a name stands where a rule begins, with a bracket right behind it."""
    if token.kind != "name" or token.depth or token.text in _NO_RULES or n + 1 == len(tokens):
        return False
    first, behind = not n or tokens[n - 1].kind == "line", tokens[n + 1]
    return first and behind.text == "[" and behind.start == token.start + len(token.text)


def _closing_of_set(tokens: Sequence[_Token], opening: int) -> _Token | None:
    """Return the closing bracket of a rule's head, if nothing but a body in braces follows it."""
    for n in range(opening + 1, len(tokens)):
        if tokens[n].text == "]" and tokens[n].depth == 1:
            alone = n + 1 == len(tokens) or tokens[n + 1].kind == "line" or tokens[n + 1].text == "{"
            return tokens[n] if alone else None
    return None
