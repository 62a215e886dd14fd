"""Load on an HTTP server, by wrk: whole requests prepared here, played there (requests.lua)."""

import json
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

MARKER = "@DELIVERY@@DELIVERY@"
"""Stands for a delivery id that is different in every request and just as long."""
SIGNATURE = "@SIGNATURE@-----" * 4
"""Stands in a header for the signature of a body with such an id in it."""
_SCRIPT = Path(__file__).with_name("requests.lua")
_INSTALL = "wrk makes the load and is missing: `apt-get install wrk`, `dnf install wrk` or `brew install wrk`"


class MissingTool(Exception):
    """A program that the bench cannot do without."""


class FailedLoad(Exception):
    """Requests failed: what was measured is not what was meant."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw; latencies in milliseconds, `processor` the seconds of processor time it took itself."""

    requests_per_second: float
    p50: float
    p99: float
    processor: float


def require_wrk() -> str:
    """Where wrk is. Raises MissingTool."""
    path = shutil.which("wrk")
    if path is None:
        raise MissingTool(_INSTALL)
    return path


def post(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole POST request, as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode("ascii") + body


def write_requests(path: Path, requests: Sequence[bytes], secret: str = "") -> Path:
    """Keep requests for wrk, which plays them one after the other, again and again; `secret` is for signatures."""
    path.write_bytes(secret.encode() + b"\n" + b"".join(b"%d\n%b" % (len(one), one) for one in requests))
    return path


def play(requests: Path, url: str, *, connections: int, seconds: float) -> Load:
    """Send as fast as the answers come. Raises FailedLoad unless every single answer was a success."""
    server = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    before = _processor_seconds()
    finished = subprocess.run(
        [
            *(require_wrk(), "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{max(1, round(seconds))}s", "--timeout", "10s", "--script", str(_SCRIPT)),
            *(server, "--", str(requests), uuid4().hex[:12]),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    return _read(finished.stdout, finished.stderr, _processor_seconds() - before)


def _read(output: str, errors: str, processor: float) -> Load:
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise FailedLoad(f"wrk told nothing: {output}{errors}")
    told = json.loads(lines[-1])
    if told["refused"] or told["broken"] or not told["requests"]:
        raise FailedLoad(
            f"of {told['requests']} requests {told['refused']} were refused and {told['broken']} broke off"
        )
    rate = told["requests"] / told["microseconds"] * 1_000_000
    return Load(rate, told["p50"] / 1000, told["p99"] / 1000, processor)


def _processor_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
