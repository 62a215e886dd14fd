"""Running artifacts, counted, and the difference between two moments."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import orjson


class Running(NamedTuple):
    """Instances of one artifact. `digest` is in its stored form."""

    name: str
    digest: str
    tag: str | None


Instances = Mapping[Running, int]
"""How many instances run of each artifact: what one moment looks like. Counts are positive."""


def counted(reported: Iterable[tuple[Running, int]]) -> Instances:
    """Return what is reported with each artifact once; the counts of lines that name the same artifact add up."""
    found: dict[Running, int] = {}
    for artifact, count in reported:
        found[artifact] = found.get(artifact, 0) + count
    return found


def content_hash(instances: Instances) -> bytes:
    """Return the SHA-256 of what runs, the same for every order in which it is reported."""
    lines = sorted((name, digest, tag or "", tag is None, count) for (name, digest, tag), count in instances.items())
    return sha256(orjson.dumps(lines)).digest()


@dataclass(frozen=True, slots=True)
class Difference:
    """What happened to instances of one name: None on one side where there are none."""

    name: str
    before: Running | None
    after: Running | None
    count_before: int = 0
    count_after: int = 0

    @property
    def newest(self) -> Running:
        """What runs now or, if there is nothing, what ran before."""
        found = self.after or self.before
        assert found is not None  # noqa: S101 - a difference has at least one side
        return found

    def to_json(self) -> list[Any]:
        """Return the stored form."""
        sides = ((self.before, self.count_before), (self.after, self.count_after))
        return [self.name, *([one.digest, one.tag, count] if one else None for one, count in sides)]

    @classmethod
    def of_json(cls, stored: Sequence[Any]) -> "Difference":
        """Read the stored form."""
        name, *sides = stored
        (before, count_before), (after, count_after) = (
            (Running(name, side[0], side[1]), side[2]) if side else (None, 0) for side in sides
        )
        return cls(name, before, after, count_before, count_after)


@dataclass(frozen=True, slots=True)
class Diff:
    """What is different between two moments, by name and digest."""

    added: Sequence[Difference]
    removed: Sequence[Difference]
    updated: Sequence[Difference]
    unchanged: Sequence[Difference]

    @property
    def is_empty(self) -> bool:
        """Whether the same digests run under the same names; tags and counts may differ."""
        return not (self.added or self.removed or self.updated)


def diff(before: Instances, after: Instances) -> Diff:
    """Compare two moments. Several versions of one name may run side by side.

    Of each name, equal digests are unchanged, whatever their tags and counts; of the rest, one old version and one new
    one are an update, in the order of their digests, and what remains is added or removed.
    """
    unchanged: list[Difference] = []
    pairs: list[Difference] = []
    old, new = _by_name(before), _by_name(after)
    for name in sorted(old.keys() | new.keys()):
        gone, come = old.get(name, {}), new.get(name, {})
        unchanged += [_difference(name, gone.pop(one), come.pop(one)) for one in sorted(gone.keys() & come.keys())]
        pairs += _paired(name, [gone[one] for one in sorted(gone)], [come[one] for one in sorted(come)])
    return Diff(
        added=[one for one in pairs if one.before is None],
        removed=[one for one in pairs if one.after is None],
        updated=[one for one in pairs if one.before is not None and one.after is not None],
        unchanged=unchanged,
    )


Counted = tuple[Running, int]


def _by_name(instances: Instances) -> dict[str, dict[str, Counted]]:
    """Group by name and digest. Of several tags of one digest the first counts, with all instances."""
    found: dict[str, dict[str, Counted]] = defaultdict(dict)
    for artifact, count in sorted(instances.items(), key=lambda one: (one[0].tag or "", one[0].tag is None)):
        first, sum_ = found[artifact.name].get(artifact.digest, (artifact, 0))
        found[artifact.name][artifact.digest] = first, sum_ + count
    return found


def _paired(name: str, gone: Sequence[Counted], come: Sequence[Counted]) -> Iterator[Difference]:
    for place in range(max(len(gone), len(come))):
        yield _difference(
            name,
            gone[place] if place < len(gone) else None,
            come[place] if place < len(come) else None,
        )


def _difference(name: str, before: Counted | None, after: Counted | None) -> Difference:
    old, count_before = before or (None, 0)
    new, count_after = after or (None, 0)
    return Difference(name, old, new, count_before, count_after)
