"""The current time as a service: UTC, in microseconds, which is the precision of Postgres."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The source of the current time; tests use their own."""

    def now(self) -> datetime:
        """Return the current time in UTC."""


class SystemClock:
    """The machine's clock in UTC."""

    def now(self) -> datetime:
        """Return the current time in UTC, to the microsecond."""
        return datetime.now(UTC)
