"""How much to measure."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` is the length of one measurement under load; `backlog` the deliveries that are drained.

    `trails` are seeded for the large database, a hundredth of them for the small one; `flow_trails` into the large
    flow. `upload` is in bytes. Each of the `environments` is reported once in each of the `minutes`; `snapshots` are
    those of the environment with most of them. `peers_python` runs the peers that are no dependencies of ours.
    """

    rounds: int = 5
    seconds: float = 5.0
    backlog: int = 20_000
    trails: int = 100_000
    flow_trails: int = 500_000
    upload: int = 2**30
    environments: int = 500
    minutes: int = 60
    snapshots: int = 100_000
    profile: bool = False
    peers_python: str = sys.executable

    @property
    def warm_up(self) -> float:
        """Seconds of load before anything counts."""
        return max(1.0, self.seconds / 5)
