"""Request and response models of the thresholds of security scans."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.wire import Instant, WireIn, WireModel
from domain.gates.security_thresholds import UNLIMITED, Thresholds

_Maximum = Annotated[int, Field(strict=True, ge=0, le=UNLIMITED)]
_DEFAULTS = Thresholds()


class SecurityThresholdsIn(WireIn):
    """The most findings of each severity that a scan of the flow may have. 2147483647 is no limit.

    An unknown name is refused: it may be a misspelt maximum.
    """

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {"examples": [{"maxCritical": 0, "maxHigh": 0, "maxMedium": 10}]},
    }

    max_critical: _Maximum = _DEFAULTS.max_critical
    max_high: _Maximum = _DEFAULTS.max_high
    max_medium: _Maximum = _DEFAULTS.max_medium
    max_low: _Maximum = _DEFAULTS.max_low

    def to_command(self) -> Thresholds:
        """Return the input of the command."""
        return Thresholds(self.max_critical, self.max_high, self.max_medium, self.max_low)


class SecurityMaximaOut(WireModel):
    """The most findings of each severity; 2147483647 is no limit."""

    max_critical: int
    max_high: int
    max_medium: int
    max_low: int


class SecurityThresholdsOut(SecurityMaximaOut):
    """The thresholds of a flow. Their ETag is their version."""

    id: UUID
    flow_id: UUID
    version: int
    created_at: Instant
    updated_at: Instant
