"""The server as `python -m api` runs it, in the process of the tests."""

from typing import Any

from aiohttp.test_utils import TestServer

from api.http.transport.connections import ConnectionLimits, Runner

WIDE = ConnectionLimits(total=1000, per_address=0, patience=30, idle=75)


class LimitedTestServer(TestServer):
    """aiohttp's test server with our limits on connections."""

    __test__ = False

    def __init__(self, app: Any, limits: ConnectionLimits = WIDE) -> None:
        super().__init__(app)
        self._limits = limits

    async def _make_runner(self, **options: Any) -> Runner:
        return Runner(self.app, self._limits, **options)
