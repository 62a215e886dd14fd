"""Logical environments in each other: no cycle, and not too deep."""

from uuid import UUID

import pytest

from domain.environments.logical_environments import MAX_LEVELS, Nesting, check_nesting
from domain.errors import Conflict


def nesting(text: str) -> Nesting:
    """`a:bc b:c` says that b and c are members of a, and c one of b."""
    return {of(pair[0]): [of(member) for member in pair[2:]] for pair in text.split()}


def of(letter: str) -> UUID:
    return UUID(int=ord(letter))


NAMES = {of(letter): letter for letter in "abcdefghijklmnopqrstuvwxyz"}


def chain(levels: int) -> str:
    return " ".join(f"{one}:{two}" for one, two in zip(letters(levels), letters(levels)[1:], strict=False))


def letters(number: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[:number]


@pytest.mark.parametrize(
    ("text", "changed", "path"),
    [
        ("a:a", "a", "'a' → 'a'"),
        ("a:b b:a", "a", "'a' → 'b' → 'a'"),
        ("a:bc b:d c:e e:a", "c", "'c' → 'e' → 'a' → 'c'"),
        ("a:bc b:d d:e e:a c:a", "a", "'a' → 'c' → 'a'"),
    ],
)
def test_a_cycle_is_refused_with_its_shortest_path(text: str, changed: str, path: str) -> None:
    with pytest.raises(Conflict, match=f"{path}\\.$") as refused:
        check_nesting(nesting(text), NAMES, of(changed))
    assert refused.value.kind == "state"


@pytest.mark.parametrize("text", ["", "a:", "a:bcd b:d c:d", "x:a a:bb y:ab"])
def test_environments_may_share_members(text: str) -> None:
    check_nesting(nesting(text), NAMES, of("a"))


@pytest.mark.parametrize("changed", ["a", "d", "h"])
def test_a_chain_has_a_limit_from_wherever_it_is_extended(changed: str) -> None:
    check_nesting(nesting(chain(MAX_LEVELS)), NAMES, of(changed))
    with pytest.raises(Conflict, match=f"{MAX_LEVELS + 1} logical environments in each other"):
        check_nesting(nesting(chain(MAX_LEVELS + 1)), NAMES, of(changed))


def test_the_longest_way_counts_however_many_there_are() -> None:
    """Twenty pairs, each of which contains both of the next one: a million ways, of few levels each."""
    ways = {UUID(int=2 * n + k): [UUID(int=2 * n + 2), UUID(int=2 * n + 3)] for n in range(20) for k in (0, 1)}
    names = {one: str(one) for one in ways}
    with pytest.raises(Conflict, match="21 logical"):
        check_nesting(ways, names, UUID(int=0))
