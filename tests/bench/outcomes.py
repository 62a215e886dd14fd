"""What a scenario hands to the report. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

TIMES = "×"  # noqa: RUF001 - the unit of a ratio
OTHERS = "everything else on the machine"
SATURATED = 0.85
"""The share of a core (or of all cores) above which it is what limits."""
AT_LEAST, AT_MOST = "≥", "≤"


@dataclass(frozen=True, slots=True)
class Series:
    """One measurement over all rounds."""

    label: str
    unit: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Check:
    """A figure with its target. `found` is None when it was not measured, `target` when there is none."""

    what: str
    found: float | None
    target: float | None
    unit: str
    relation: str = ""

    @classmethod
    def at_least(cls, what: str, found: float | None, target: float, unit: str) -> Self:
        """A target that is met from `target` upward."""
        return cls(what, found, target, unit, AT_LEAST)

    @classmethod
    def at_most(cls, what: str, found: float | None, target: float, unit: str) -> Self:
        """A target that is met up to `target`."""
        return cls(what, found, target, unit, AT_MOST)

    @classmethod
    def figure(cls, what: str, found: float | None, unit: str) -> Self:
        """A figure to be read beside the targets."""
        return cls(what, found, None, unit)

    @property
    def missed(self) -> bool:
        """Whether what was found breaks the target."""
        if self.found is None or self.target is None:
            return False
        return self.found < self.target if self.relation == AT_LEAST else self.found > self.target

    @property
    def result(self) -> str:
        """In words."""
        if self.found is None:
            return "not measured"
        if self.target is None:
            return "no target"
        return "**not met**" if self.missed else "met"


@dataclass(frozen=True, slots=True)
class HotSpot:
    """A function with its own share of the profiled process's busy time, callees excluded."""

    function: str
    share: float
    calls: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a scenario found. `busy` maps a process to the cores it kept busy while ours was measured."""

    name: str
    title: str
    series: Sequence[Series]
    checks: Sequence[Check]
    busy: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    hot: Sequence[HotSpot] = ()

    @property
    def met(self) -> bool:
        """Whether no target is missed."""
        return not any(check.missed for check in self.checks)


def limit_of(busy: Mapping[str, float], cores: int) -> str:
    """What a measurement waits for, as far as processor time can tell."""
    ours = {name: share for name, share in busy.items() if name != OTHERS}
    if not ours:
        return "not measured"
    left = cores - busy.get(OTHERS, 0.0)
    busiest, share = max(ours.items(), key=lambda entry: entry[1])
    if sum(ours.values()) >= SATURATED * left:
        return f"processor time: all of the {left:.2f} cores that were free, most of it in {busiest} ({share:.2f})"
    if share >= SATURATED:
        return f"the processor time of {busiest}, which keeps one core busy ({share:.2f})"
    return "waiting (disk, locks, round trips): no process and not the machine is out of processor time"


def disturbance(outcomes: Sequence[Outcome]) -> float:
    """The most cores that anything else on the machine kept busy during a scenario."""
    return max((outcome.busy.get(OTHERS, 0.0) for outcome in outcomes), default=0.0)
