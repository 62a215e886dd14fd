"""The arithmetic of the bench: spreads, percentiles, ratios. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds of one measurement amount to."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Raises ValueError without values."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(statistics.median(values), min(values), max(values))


def ratio_of_medians(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times the baseline we do. Medians first: a ratio per round would mix up two disturbances."""
    return Spread.of(ours).median / Spread.of(theirs).median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all values do not exceed (nearest rank). Raises ValueError."""
    if not values:
        raise ValueError("nothing was measured")
    if not 0 < percent <= 100:
        raise ValueError(f"a percentile lies in (0, 100], not at {percent}")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
