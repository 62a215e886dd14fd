"""Response models of limits."""

from typing import Annotated, Self

from pydantic import Field

from api.http.calls import Call
from api.http.wire import Instant, WireModel
from domain.identity.quotas import TERMS, FixedLimit, Period, Quota, QuotaUse
from domain.identity.rates import RateLimit


class QuotaOut(WireModel):
    """A quota of the organisation. `period` and `resetsAt` are null for a total; a rate starts again at `resetsAt`."""

    name: Quota
    description: str
    unit: Annotated[str, Field(examples=["bytes"])]
    limit: int
    used: int
    remaining: int
    period: Period | None
    resets_at: Instant | None

    @classmethod
    def of(cls, record: QuotaUse, _call: Call) -> Self:
        """Return a quota with its use."""
        terms = TERMS[record.quota]
        return cls.filled(
            record, name=record.quota, description=terms.description, unit=terms.unit, period=terms.period
        )


class FixedLimitOut(WireModel):
    """A limit that is the same for every organisation."""

    name: FixedLimit
    description: str
    unit: str
    limit: int


class RateLimitOut(WireModel):
    """How many requests per minute are allowed: as many at once, and then as many as come back in time."""

    name: RateLimit
    description: str
    limit: int


class LimitsOut(WireModel):
    """What the caller's organisation may store, send and create, and how large requests may be.

    An error whose `limit` is one of these names was caused by that limit. `suppressedMessages` counts the messages of
    notification rules that were never sent because of the quota `messages_per_hour`.
    """

    organisation: str
    quotas: list[QuotaOut]
    fixed: list[FixedLimitOut]
    rates: list[RateLimitOut]
    suppressed_messages: int
