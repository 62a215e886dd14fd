import asyncio
import hmac
import json
import shutil
import time
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from storage.ids import Ids
from tests.bench import bare_handler, load
from tests.bench.__main__ import main
from tests.bench.deliveries import SECRET, push, signed, workflow_run
from tests.bench.load import MARKER, FailedLoad, MissingTool, play, post, require_wrk, write_requests
from tests.bench.scenarios.accept import pushes
from tests.bench.seal_lag import age

TOLD = {"requests": 5000, "microseconds": 2_500_000, "refused": 0, "broken": 0, "p50": 1500, "p99": 20_000}


def test_a_request_goes_over_the_wire_whole() -> None:
    head, _, body = post("/hook", {"X-A": "1"}, b'{"a": 1}').partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [b"POST /hook HTTP/1.1", b"Host: localhost", b"X-A: 1", b"Content-Length: 8"]
    assert body == b'{"a": 1}'


def test_requests_are_kept_with_their_lengths(tmp_path: Path) -> None:
    assert write_requests(tmp_path / "requests", [b"one\n", b"three"]).read_bytes() == b"\n4\none\n5\nthree"
    signing = write_requests(tmp_path / "signing", [b"one"], "a secret")
    assert signing.read_bytes() == b"a secret\n3\none"


def test_the_figures_of_wrk_are_read() -> None:
    read = load._read(f"Running 5s test\n{json.dumps(TOLD)}\n", "", 0.25)
    assert (read.requests_per_second, read.p50, read.p99, read.processor) == (2000.0, 1.5, 20.0, 0.25)


@pytest.mark.parametrize("trouble", [{"refused": 1}, {"broken": 3}, {"requests": 0}])
def test_a_single_failed_request_spoils_the_measurement(trouble: dict[str, int]) -> None:
    with pytest.raises(FailedLoad, match="requests"):
        load._read(json.dumps({**TOLD, **trouble}), "", 0)


def test_a_wrk_that_says_nothing_is_a_failure_with_its_words() -> None:
    with pytest.raises(FailedLoad, match="unable to connect"):
        load._read("", "unable to connect to 127.0.0.1", 0)


def test_without_wrk_the_bench_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool):
        require_wrk()
    assert main([]) == 2
    assert "apt-get install wrk" in capsys.readouterr().err


def test_the_push_has_about_six_kilobytes() -> None:
    assert 5_500 <= len(push()) <= 6_500


def test_deliveries_are_signed_over_their_bytes() -> None:
    headers = signed("push", b"body", MARKER)
    assert headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(SECRET.encode(), b"body", "sha256").hexdigest()
    assert headers["X-GitHub-Delivery"] == MARKER


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk makes the load")
async def test_every_push_that_wrk_plays_has_a_body_of_its_own_that_is_signed(tmp_path: Path) -> None:
    kept: list[tuple[str, bytes]] = []

    async def keep(delivery_id: str, body: bytes) -> None:
        kept.append((delivery_id, body))

    async with TestServer(bare_handler.build(SECRET.encode(), keep)) as server:
        requests = pushes(tmp_path / "requests", "/")
        await asyncio.to_thread(play, requests, str(server.make_url("/")), connections=2, seconds=1)
    assert len({body for _, body in kept}) == len({delivery_id for delivery_id, _ in kept}) == len(kept) > 1
    assert all(json.loads(body)["number"] == delivery_id for delivery_id, body in kept)


def test_every_workflow_run_is_of_a_commit_and_a_run_of_its_own() -> None:
    runs = [json.loads(workflow_run(number))["workflow_run"] for number in range(50)]
    assert len({run["head_sha"] for run in runs}) == len({run["id"] for run in runs}) == 50
    assert all(run["head_sha"] == run["head_commit"]["id"] and run["conclusion"] == "success" for run in runs)
    assert all(str(run["id"]) in run["html_url"] for run in runs)


def test_the_age_of_an_event_is_read_from_its_id() -> None:
    now = time.time()
    assert age(Ids().new(), now + 3) == pytest.approx(3, abs=0.5)
    assert age(Ids().new(), now - 3) == 0.0
