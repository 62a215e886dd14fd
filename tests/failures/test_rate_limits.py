"""Rate limits while Valkey is killed: what is signed or has a key is served, and sign-ins wait."""

import asyncio
import signal
from collections.abc import Iterator
from time import monotonic

import pytest

from cli.embedded.testing import ThrowawayServers, start_for_tests
from domain.errors import Unavailable
from domain.identity.rates import RateLimit
from storage.rate_limits import RETRY, WINDOW, Limited, SharedBuckets
from tests.journeys.waiting import eventually

PER_MINUTE = 10
SIGN_IN = ("rate:test:me", WINDOW / PER_MINUTE)


@pytest.fixture
def servers() -> Iterator[ThrowawayServers]:
    """Servers of the test's own, of which one is killed."""
    started = start_for_tests()
    yield started
    started.stop()


async def test_valkey_is_killed_and_comes_back(servers: ThrowawayServers) -> None:
    valkey = servers.children[1]
    shared, limited = SharedBuckets(), Limited(RateLimit.KEY, PER_MINUTE)
    bucket = limited.bucket("a key")

    def allowed() -> int:
        count = 0
        while bucket.wait(monotonic()) <= 0:
            shared.spend(bucket, monotonic())
            count += 1
        return count

    async with shared.opened(servers.redis_url):
        assert await shared.ask(*SIGN_IN) == 0
        valkey.send(signal.SIGKILL)
        valkey.wait()
        with pytest.raises(Unavailable):
            await shared.ask(*SIGN_IN)
        assert allowed() == PER_MINUTE, "requests with a key are let through, up to the limit"
        await asyncio.sleep(2 * RETRY)
        assert allowed() == 0
        assert bucket.untold == 0, "nothing piles up"
        valkey.start()

        async def signed_in() -> bool:
            try:
                return await shared.ask(*SIGN_IN) == 0
            except Unavailable:
                return False

        await eventually(signed_in, 10, "sign-ins")
