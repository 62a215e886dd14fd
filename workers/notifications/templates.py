"""Rendering users' templates in a child process of the worker, which limits the time and memory that they take."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from domain.notifications.templates import TemplateFailed
from workers.notifications.template_process import READY

__all__ = ["TemplateFailed", "Templates"]

START_SECONDS = 30.0
TIMEOUT_ANSWER = 5.0
"""Seconds for one request by the clock: the child ends itself after a second of work, the rest allows for load."""
MAX_ANSWER = 1 << 20
"""Longest answer in bytes: two texts of which every character is escaped."""
TIMEOUT_STOP = 1.0
"""Seconds for the child to end after its input was closed."""
SET_ASIDE = 60.0
"""Seconds for which a template that ended the child is not rendered again: other messages wait while it runs."""

TOO_LONG = "It takes too long"
ENDED = "It ended the process that renders templates"
NOT_STARTED = "The process that renders templates did not start"

_ROOT = Path(__file__).parents[2]
_Key = tuple[tuple[str, str], ...]

log = structlog.get_logger()


class Templates:
    """Renders templates, one request at a time, in a child process that `close` or a faulty template ends."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._child: Process | None = None
        self._set_aside: dict[_Key, tuple[float, str]] = {}

    async def render(self, sources: Mapping[str, str], variables: Mapping[str, Any]) -> Mapping[str, str]:
        """Render templates and return the texts by name, without control characters. Raises TemplateFailed."""
        key = tuple(sorted(sources.items()))
        request = json.dumps({"sources": dict(sources), "variables": dict(variables)}).encode() + b"\n"
        async with self._turn:
            self._refuse_set_aside(key)
            answer = await self._answer(key, request)
        if "failed" in answer:
            raise TemplateFailed(answer["failed"])
        texts: Mapping[str, str] = answer["texts"]
        return texts

    async def close(self) -> None:
        """End the child process."""
        async with self._turn:
            await self._end()

    async def _answer(self, key: _Key, request: bytes) -> Mapping[str, Any]:
        child = await self._running()
        line = await self._exchange(child, request, TIMEOUT_ANSWER)
        if not line.endswith(b"\n"):
            overstayed = child.returncode in (-signal.SIGPROF, -signal.SIGKILL)
            log.warning("templates.child_ended", status=child.returncode)
            raise self._setting_aside(key, TOO_LONG if overstayed else ENDED)
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    async def _running(self) -> Process:
        """Return the child, started and ready. Raises TemplateFailed if it cannot be started."""
        if self._child is None or self._child.returncode is not None:
            try:
                self._child = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "workers.notifications.template_process"),
                    cwd=_ROOT,
                    env={},  # no variable of the worker, whose environment has secrets
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    limit=MAX_ANSWER,
                )
            except OSError as error:
                raise TemplateFailed(NOT_STARTED) from error
            if await self._exchange(self._child, b"", START_SECONDS) != READY:
                raise TemplateFailed(NOT_STARTED)
        return self._child

    async def _exchange(self, child: Process, request: bytes, seconds: float) -> bytes:
        """Send a request and return the answering line; without a complete one, end the child and return what came.

        Otherwise the child's next line would answer this request.
        """
        line = b""
        try:
            async with asyncio.timeout(seconds):
                line = await _exchange_line(child, request)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            if not line.endswith(b"\n"):
                await self._end()
        return line

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None  # noqa: S101 - a pipe
        child.stdin.close()
        try:
            async with asyncio.timeout(TIMEOUT_STOP):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    def _refuse_set_aside(self, key: _Key) -> None:
        until, reason = self._set_aside.get(key, (0.0, ""))
        if monotonic() < until:
            raise TemplateFailed(reason)

    def _setting_aside(self, key: _Key, reason: str) -> TemplateFailed:
        """Remember for SET_ASIDE seconds that these templates ended the child; return the error to raise."""
        now = monotonic()
        still = {one: (until, why) for one, (until, why) in self._set_aside.items() if now < until}
        self._set_aside = {**still, key: (now + SET_ASIDE, reason)}
        return TemplateFailed(reason)


async def _exchange_line(child: Process, request: bytes) -> bytes:
    assert child.stdin is not None  # noqa: S101 - both are pipes
    assert child.stdout is not None  # noqa: S101
    child.stdin.write(request)
    await child.stdin.drain()
    return await child.stdout.readline()
