"""The time, as a service: UTC, cut to the microseconds that Postgres keeps."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where `now` comes from; tests bring their own."""

    def now(self) -> datetime:
        """The time in UTC."""


class SystemClock:
    """The machine's clock in UTC."""

    def now(self) -> datetime:
        """The time in UTC, to the microsecond."""
        return datetime.now(UTC)
