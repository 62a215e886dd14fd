"""The same services at another time: what is written now is old for them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from storage.clock import Clock
from storage.services import Services


@dataclass(frozen=True)
class ShiftedClock:
    """Runs ahead of another clock."""

    clock: Clock
    ahead: timedelta

    def now(self) -> datetime:
        return self.clock.now() + self.ahead


def later(services: Services, ahead: timedelta) -> Services:
    """Over the same connections."""
    clock = ShiftedClock(services.clock, ahead)
    return replace(services, clock=clock, database=replace(services.database, clock=clock))
