"""The bodies of deliveries whose senders have not proven anything yet: all together they have one budget of bytes."""

from aiohttp import web

from api.http.sampling import SampledLog
from api.http.transport.bodies import arrived, received, too_large
from domain.errors import Unavailable

_RETRY_AFTER = 5

log = SampledLog()


class Unproven:
    """Counts the bytes that are held for unproven senders in this process."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.held = 0

    async def read(self, request: web.Request, max_body: int) -> bytes:
        """Return a body as it was sent; its bytes count until `release`.

        Raises TooLarge over `max_body` bytes, Unavailable when the budget is used up, and aiohttp's 408 if the body is
        not there in time: a sender who paces himself holds what he has sent no longer than others.
        """
        if (whole := arrived(request)) is not None:
            self._take(len(whole), len(whole), max_body)
            return whole
        chunks, size = [], 0
        try:
            async for chunk in received(request, min_rate=0):
                self._take(len(chunk), size + len(chunk), max_body)
                size += len(chunk)
                chunks.append(chunk)
        except BaseException:
            self.release(size)
            raise
        return b"".join(chunks)

    def release(self, size: int) -> None:
        """Give back the bytes of a body that is proven, or refused."""
        self.held -= size

    def _take(self, size: int, total: int, max_body: int) -> None:
        if total > max_body:
            raise too_large(max_body)
        if self.held + size > self._budget:
            log.line("webhook.postponed", "budget", held=self.held, setting="TRAILGATE_UNPROVEN_BYTES")
            raise Unavailable("Too many deliveries are arriving at once; try again shortly.", _RETRY_AFTER)
        self.held += size


UNPROVEN: web.AppKey[Unproven] = web.AppKey("unproven", Unproven)
