"""How much to measure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` is the length of one measurement under load; `backlog` the deliveries that are drained.

    `trails` are seeded for the large database, a hundredth of them for the small one; `upload` in bytes.
    """

    rounds: int = 5
    seconds: float = 5.0
    backlog: int = 20_000
    trails: int = 100_000
    upload: int = 2**30
    profile: bool = False

    @property
    def warm_up(self) -> float:
        """Seconds of load before anything counts."""
        return max(1.0, self.seconds / 5)
