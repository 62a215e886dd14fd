"""Check at start-up that no route shadows another, by applying the router's rule to a sample path of each route.

aiohttp looks candidates up by their literal prefix, longest first, then in order of registration.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args
from uuid import UUID

from aiohttp import web

from api.http.arguments import Arguments
from api.http.calls import PATH_PARAMETER, Route, Surface

_UUID = "0198c0de-0000-7000-8000-000000000000"
_SAMPLES = ("sample", "Sample-1", "1", _UUID, "a" * 40, "a" * 64, "sha256:" + "a" * 64, "2026-01-01", "a/b")
"""Tried in turn against a parameter's regex; `Route.examples` can give a better one."""


@dataclass(frozen=True, slots=True)
class Line:
    """One route as the router sees it, and a sample path that it must serve."""

    title: str
    method: str
    pattern: re.Pattern[str]
    prefix: str
    sample: str


class Table:
    """All routes of an application, across all surfaces."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._by_prefix: dict[str, list[Line]] = {}
        self._resources: dict[str, web.Resource] = {}
        self._checked = 0

    def resource(self, app: web.Application, path: str) -> web.Resource:
        """Return the router's resource for a path, shared by all methods so that the router tries fewer candidates."""
        if path not in self._resources:
            self._resources[path] = app.router.add_resource(path)
        return self._resources[path]

    def add(self, surface: Surface, route: Route, signature: Arguments) -> None:
        """Add a route. Raises ValueError when no sample matches the regex of one of its parameters."""
        path = surface.mount + route.path
        literal = PATH_PARAMETER.split(path)[0]
        prefix = literal.rpartition("/")[0] if literal != path else literal
        title = f"{route.method} {path} ({surface.name}.{route.name})"
        samples = path_samples(route, signature)
        sample = PATH_PARAMETER.sub(lambda found: samples[found[1]], path)
        line = Line(title, route.method, _pattern(path), prefix.rstrip("/") or "/", sample)
        self._lines.append(line)
        self._by_prefix.setdefault(line.prefix, []).append(line)

    def check(self) -> None:
        """Raise ValueError for a route whose sample path another route serves; the message names both."""
        for line in self._lines:
            winner = self._winner(line.method, line.sample)
            if winner is not line:
                taken = f"by {winner.title}" if winner else "by no route"
                raise ValueError(f"{line.title} is never reached: {line.sample} is served {taken}")

    def _winner(self, method: str, path: str) -> Line | None:
        """Return the route that aiohttp would choose, or None."""
        part = path
        while part:
            for line in self._by_prefix.get(part, ()):
                if line.method == method and line.pattern.fullmatch(path):
                    return line
            part = "" if part == "/" else part.rpartition("/")[0] or "/"
        return None


def _pattern(path: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for found in PATH_PARAMETER.finditer(path):
        pattern += re.escape(path[end : found.start()]) + f"({found[2] or '[^{}/]+'})"
        end = found.end()
    return re.compile(pattern + re.escape(path[end:]))


def path_samples(route: Route, signature: Arguments) -> dict[str, str]:
    """Return a value that fits each path parameter, by its name. Raises ValueError for a regex that no sample fits."""
    hints = {one.argument: one.annotation for one in signature.parameters}
    samples: dict[str, str] = {}
    for found in PATH_PARAMETER.finditer(route.path):
        name, regex = found[1], found[2] or "[^{}/]+"
        given = [route.examples[name]] if name in route.examples else [*_typed_samples(hints[name]), *_SAMPLES]
        fitting = [text for text in given if re.fullmatch(regex, text)]
        if not fitting:
            raise ValueError(f"{route.path}: no sample fits {{{name}:{regex}}}; give one in Route.examples")
        samples[name] = fitting[0]
    return samples


def _typed_samples(hint: Any) -> list[str]:
    kinds = [one for one in (hint, *get_args(hint)) if isinstance(one, type)]
    if UUID in kinds:
        return [_UUID]
    if int in kinds:
        return ["1"]
    return [str(member.value) for kind in kinds if issubclass(kind, Enum) for member in kind]
