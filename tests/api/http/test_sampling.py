"""Log lines that strangers cause: so many, and a count of the others."""

import time

import pytest
from aiohttp.test_utils import TestClient
from structlog.testing import capture_logs

from api.app import build_app
from api.http.sampling import SampledLog, Sampler
from storage.services import Services
from tests.api.caller import Caller
from tests.api.limited import LimitedTestServer
from tests.conftest import ADMIN_KEY


def test_a_burst_passes_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sampler = Sampler(per_second=2, burst=3)
    assert [sampler.take() for _ in range(5)] == [0, 0, 0, None, None]
    now += 1
    assert [sampler.take() for _ in range(3)] == [2, 0, None]
    now += 1000
    assert [sampler.take() for _ in range(4)] == [1, 0, 0, None]


def test_a_line_tells_how_many_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = SampledLog(per_second=1, burst=1)
    with capture_logs() as logs:
        for _ in range(10):
            log.line("x", "one kind", a=1)
        log.line("z", "another kind")
        now += 1
        log.failure("y", "one kind")
    assert logs == [
        {"event": "x", "a": 1, "skipped": 0, "log_level": "info"},
        {"event": "z", "skipped": 0, "log_level": "info"},
        {"event": "y", "skipped": 9, "log_level": "error"},
    ]


async def test_errors_of_strangers_are_sampled_and_those_of_callers_are_not(own_services: Services) -> None:
    async with TestClient(LimitedTestServer(build_app(own_services))) as client:
        stranger, admin = Caller(client, None), Caller(client, ADMIN_KEY)
        with capture_logs() as logs:
            for _ in range(200):
                await stranger.post("/webhooks/github", status=401, data=b"{}")
        for event in ("request", "webhook.refused"):
            assert 0 < len([line for line in logs if line["event"] == event]) < 150
        with capture_logs() as logs:
            await admin.get("/flows/x", status=400)
        assert [line["status"] for line in logs if line["event"] == "request"] == [400]
