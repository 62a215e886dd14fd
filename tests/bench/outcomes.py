"""What a scenario hands to the report. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

TIMES = "×"  # noqa: RUF001 - the unit of a ratio
OTHERS = "everything else on the machine"
SATURATED = 0.85
"""The share of a core (or of all cores) above which it is what limits."""


@dataclass(frozen=True, slots=True)
class Series:
    """One measurement over all rounds."""

    label: str
    unit: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Check:
    """One target of the contract (issue 2, "Speed"). An `aim` is reported, but does not count as broken."""

    what: str
    found: float
    target: float
    unit: str
    met: bool
    relation: str
    aim: bool = False

    @classmethod
    def at_least(cls, what: str, found: float, target: float, unit: str, *, aim: bool = False) -> Self:
        """A target that is met from `target` upward."""
        return cls(what, found, target, unit, found >= target, "≥", aim)

    @classmethod
    def at_most(cls, what: str, found: float, target: float, unit: str) -> Self:
        """A target that is met up to `target`."""
        return cls(what, found, target, unit, found <= target, "≤")

    @property
    def verdict(self) -> str:
        """In words."""
        if self.met:
            return "met"
        return "missed (an aim)" if self.aim else "**not met**"


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
        """Whether every target is met; aims do not count."""
        return all(check.met or check.aim for check in self.checks)


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
