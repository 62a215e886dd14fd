"""Rego: modules, the rules in them that decide, and what a bundle may consist of.

The processes of the engine import this module. It stands on little else: with RE2 in the same process, the engine frees
what it did not allocate.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from domain.canonical import canonical_json
from domain.errors import Invalid, TooLarge

MAX_MODULES = 100
MAX_MODULE = 256 * 1024
MAX_BUNDLE = 1024 * 1024
"""Bytes of one module, and of all modules and data documents of one bundle together."""
ALLOW, DENY = "allow", "deny"


class Module(NamedTuple):
    """A Rego module. `path` is its name in the bundle, such as `policies/release.rego`."""

    path: str
    text: str


class Rule(NamedTuple):
    """A rule that decides: `name` is `allow` or `deny`, `package` the parts of its package's name."""

    package: tuple[str, ...]
    name: str

    def __str__(self) -> str:
        return ".".join(("data", *self.package, self.name))


@dataclass(frozen=True, slots=True)
class Source:
    """What a bundle consists of: modules, in the order of their paths, and a data document."""

    modules: tuple[Module, ...]
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The digest of the content, whatever archive it came in."""
        return hashlib.sha256(canonical_json({"modules": self.modules, "data": dict(self.data)})).hexdigest()

    @property
    def size(self) -> int:
        """The bytes of the content."""
        return sum(len(module.text.encode()) for module in self.modules) + len(canonical_json(dict(self.data)))


def checked_source(modules: Sequence[Module], data: Mapping[str, Any]) -> Source:
    """Return the content of a bundle. Raises Invalid, and TooLarge for more than a bundle may have."""
    if not modules:
        raise Invalid.of("file", "has no module, that is, no member whose name ends in .rego")
    if len(modules) > MAX_MODULES:
        raise TooLarge(f"The bundle has more than {MAX_MODULES} modules")
    for module in modules:
        if len(module.text.encode()) > MAX_MODULE:
            raise TooLarge(f"The module {module.path} has more than {MAX_MODULE:,} bytes")
        if "\0" in module.text:
            raise Invalid(f"The module {module.path} has a NUL character")
    source = Source(tuple(sorted(modules)), data)
    if source.size > MAX_BUNDLE:
        raise TooLarge(f"The bundle has more than {MAX_BUNDLE:,} bytes")
    return source
