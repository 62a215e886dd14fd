"""Scopes: the resources that a key is limited to, as `kind:name`. One of them is enough for a resource."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from uuid import UUID

from domain.errors import Invalid

MAX_SCOPES = 100
MAX_SCOPE_LENGTH = 300


class ScopeKind(StrEnum):
    """What a scope names: a flow or an environment by its id, a repository by the name that its trails show."""

    FLOW = "flow"
    ENVIRONMENT = "environment"
    REPO = "repo"


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes of a key in their stored form, and what they give access to."""

    texts: tuple[str, ...]
    flows: tuple[UUID, ...]
    repositories: tuple[str, ...]
    environments: tuple[UUID, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Read stored scopes. One that this version does not know gives access to nothing."""
        ordered = tuple(sorted(texts))
        pairs = [text.partition(":")[::2] for text in ordered]

        def ids(wanted: ScopeKind) -> tuple[UUID, ...]:
            return tuple(found for kind, name in pairs if kind == wanted and (found := _id(name)))

        repositories = tuple(name for kind, name in pairs if kind == ScopeKind.REPO and name)
        return cls(ordered, ids(ScopeKind.FLOW), repositories, ids(ScopeKind.ENVIRONMENT))

    def contain(self, flow_id: UUID, repository: str | None = None) -> bool:
        """Whether a flow, or a trail of this flow and repository, is within the scopes."""
        return flow_id in self.flows or repository in self.repositories

    def cover(self, texts: Collection[str] | None) -> bool:
        """Whether a key with these scopes reaches no more; None stands for a key without a limit."""
        return texts is not None and set(texts) <= set(self.texts)


def checked_scopes(texts: Iterable[str]) -> list[str]:
    """Return scopes in their stored form: each once, in order, ids in lower case. Raises Invalid."""
    found = sorted({_checked(text) for text in texts})
    if not 1 <= len(found) <= MAX_SCOPES:
        raise Invalid.of("scopes", f"must be 1 to {MAX_SCOPES} scopes; leave them out for a key without a limit")
    return found


def _checked(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind not in set(ScopeKind) or not name.strip() or len(text) > MAX_SCOPE_LENGTH:
        forms = ", ".join(f"{one}:…" for one in ScopeKind)
        raise Invalid.of("scopes", f"must be one of {forms}; {text[:100]!r} is not")
    if kind == ScopeKind.REPO:
        return text
    if (found := _id(name)) is None:
        raise Invalid.of("scopes", f"{kind} takes an id; {name[:100]!r} is not a UUID")
    return f"{kind}:{found}"


def _id(name: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(name)
    return None
