"""Taking turns."""

from collections.abc import Callable, Mapping
from typing import TypeVar

Found = TypeVar("Found")


def alternate(sides: Mapping[str, Callable[[], Found]], rounds: int) -> dict[str, list[Found]]:
    """Measure every side once a round, in turn (A B A B …); the answer has each side's findings in order."""
    found: dict[str, list[Found]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            found[name].append(measure())
    return found
