"""Apply the rate limits to requests; `storage.rate_limits` keeps what is used of them.

No request waits for Redis, except a step of a sign-in, which is refused while it cannot be counted.
"""

from collections.abc import AsyncIterator, Sequence
from math import ceil
from time import monotonic
from uuid import UUID

from aiohttp import web
from multidict import istr

from api.http import metrics
from api.http.calls import SERVICES
from api.http.sampling import SampledLog
from api.http.transport.addresses import client_network
from domain.errors import Throttled
from domain.identity.permissions import Principal
from domain.identity.rates import RateLimit, Rates
from storage.rate_limits import Bucket, Limited, SharedBuckets

LIMIT, REMAINING, RESET = istr("RateLimit-Limit"), istr("RateLimit-Remaining"), istr("RateLimit-Reset")

_Spending = Sequence[tuple[Limited, Bucket]]

_SPENT: web.RequestKey[_Spending] = web.RequestKey("spent", tuple)
"""The buckets that a request took tokens from, or the one that had none."""

_log = SampledLog()


class RateLimits:
    """The rate limits of an application. Those that are 0 do not exist."""

    def __init__(self, rates: Rates) -> None:
        self.shared = SharedBuckets()
        self._of = {limit: Limited(limit, rate) for limit, rate in rates.items() if rate}
        self._key = self._of.get(RateLimit.KEY)
        self._organisation = self._of.get(RateLimit.ORGANISATION)

    def admit(self, request: web.Request, caller: Principal) -> None:
        """Count a request of a known caller. Raises Throttled when its key or its organisation sends too many."""
        key, organisation = self._key, self._organisation
        spending: list[tuple[Limited, Bucket]] = []
        if key is not None:
            spending.append((key, key.bucket(caller.credential_id or caller.id)))
        if organisation is not None:
            spending.append((organisation, organisation.bucket(caller.org_id)))
        self._spend(request, spending)

    async def admit_anonymous(self, request: web.Request, limit: RateLimit) -> None:
        """Count a request that needs no credential against the limit that its route declares.

        Raises Throttled; for a step of a sign-in also Unavailable, when Redis cannot be asked.
        """
        limited, owner = self._of.get(limit), client_network(request)
        if not limited or not owner:
            return
        if limit is RateLimit.SIGN_IN:
            await self._ask(limited, owner)
        else:
            self._spend(request, [(limited, limited.bucket(owner))])

    async def admit_sign_in_to(self, organisation_id: UUID) -> None:
        """Count a sign-in that begins in an organisation. Raises Throttled, and Unavailable without Redis."""
        if limited := self._of.get(RateLimit.SIGN_IN_ORGANISATION):
            await self._ask(limited, organisation_id)

    def failed(self, request: web.Request, limit: RateLimit) -> None:
        """Count a failure of the client's address, by one of the limits that count failures."""
        limited = self._of.get(limit)
        if limited and (owner := client_network(request)):
            self.shared.spend(limited.bucket(owner), monotonic())

    def refuse_failing(self, request: web.Request, limit: RateLimit) -> None:
        """Raise Throttled if the client's address has failed too often, as far as this process knows."""
        limited = self._of.get(limit)
        bucket = limited.known(client_network(request)) if limited else None
        if limited and bucket and (wait := bucket.wait(monotonic())) > 0:
            request[_SPENT] = ((limited, bucket),)
            raise _throttled(limited, wait)

    def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell a client what is left of the limit that it will meet first, in whole seconds and requests."""
        spent = request.get(_SPENT)
        if not spent:
            return
        now = monotonic()
        limited, bucket = min(spent, key=lambda one: one[1].remaining(now))
        headers = response.headers
        headers[LIMIT] = limited.shown
        headers[REMAINING] = str(bucket.remaining(now))
        headers[RESET] = str(ceil(max(0.0, bucket.full_at - now)))

    def _spend(self, request: web.Request, spending: _Spending) -> None:
        """Take a token of each bucket, or of none. Raises Throttled."""
        now = monotonic()
        for limited, bucket in spending:
            if (wait := bucket.wait(now)) > 0:
                request[_SPENT] = ((limited, bucket),)
                raise _throttled(limited, wait)
        for _, bucket in spending:
            self.shared.spend(bucket, now)
        request[_SPENT] = spending

    async def _ask(self, limited: Limited, owner: object) -> None:
        """Take a token of a bucket that Redis decides on."""
        if (wait := await self.shared.ask(*limited.asked(owner))) > 0:
            raise _throttled(limited, wait)


def _throttled(limited: Limited, wait: float) -> Throttled:
    limit, seconds = limited.limit, max(1, ceil(wait))
    metrics.RATE_LIMITED.labels(limit).inc()
    _log.line("rate limited", limit, limit=limit)
    message = f"The limit {limit} is exceeded: {limited.per_minute} per minute. Try again in {seconds} s."
    return Throttled(message, seconds, limit=limit)


RATE_LIMITS: web.AppKey[RateLimits] = web.AppKey("rate_limits", RateLimits)


async def rate_limits_shared(app: web.Application) -> AsyncIterator[None]:
    """Share the buckets with the other processes while the application serves."""
    url = app[SERVICES].settings.redis_url
    async with app[RATE_LIMITS].shared.opened(str(url)):
        yield
