"""The senders that have proven themselves: the failures of others with the same address do not count against them.

GitHub and GitLab deliver for everybody from the same addresses. Whoever points a webhook with a wrong secret here must
not be able to have the deliveries of others refused.
"""

from typing import NamedTuple
from uuid import UUID

from aiohttp import web

MAX_KNOWN = 10_000


class Origin(NamedTuple):
    """An address (of IPv6 its /64 network) that delivers to one URL."""

    address: str
    source: str
    config_id: UUID | None


class ProvenSenders:
    """The origins of valid deliveries to this process; when there are too many, the oldest is forgotten."""

    def __init__(self) -> None:
        self._known: dict[Origin, None] = {}

    def __contains__(self, origin: Origin) -> bool:
        return origin in self._known

    def add(self, origin: Origin) -> None:
        """Remember an origin."""
        if origin not in self._known:
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[origin] = None


PROVEN_SENDERS: web.AppKey[ProvenSenders] = web.AppKey("proven_senders", ProvenSenders)
