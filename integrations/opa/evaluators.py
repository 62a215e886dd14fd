"""Evaluating policies in child processes, which limit the time and the memory that they take."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from domain.gates.opa import Bundle, Evaluation
from domain.gates.rego import Rule
from integrations.opa.protocol import MAX_ANSWER, READY, how_it_ended

START_SECONDS = 30.0
TIMEOUT_ANSWER = 15.0
"""Seconds for one evaluation by the clock: the child ends itself after less work, the rest allows for load."""
TIMEOUT_STOP = 1.0
"""Seconds for a child to end after its input was closed."""

NOT_STARTED = "The process that evaluates policies did not start"
UNREADABLE = "The process that evaluates policies gave no readable answer"
SUBJECT = "The evaluation"

COMMAND = (sys.executable, "-m", "integrations.opa.evaluator_process")

_ROOT = Path(__file__).parents[2]

log = structlog.get_logger()


class Evaluators:
    """Child processes, as many as evaluations were made at once. Those that ended are replaced when needed."""

    def __init__(self) -> None:
        self._idle: list[_Evaluator] = []

    async def evaluate(self, bundle: Bundle, text: str) -> Evaluation:
        """Evaluate the rules of a bundle for an input in JSON. A policy that fails is an outcome, too."""
        evaluator = self._idle.pop() if self._idle else _Evaluator()
        evaluation = await evaluator.evaluate(bundle, text)
        self._idle.append(evaluator)  # not if it was interrupted: it has killed its child
        return evaluation

    async def close(self) -> None:
        """End the child processes."""
        for evaluator in self._idle:
            await evaluator.end()


class _Evaluator:
    """One child process, which is started when it is needed."""

    def __init__(self) -> None:
        self._child: Process | None = None

    async def evaluate(self, bundle: Bundle, text: str) -> Evaluation:
        if not await self._started():
            return Evaluation(failure=NOT_STARTED)
        request = {"sha256": bundle.sha256, "input": text, "bundle": None}
        answer = await self._answer(request)
        if "missing" in answer and await self._started():
            source = bundle.source
            content = {"modules": source.modules, "data": source.data, "rules": bundle.rules}
            answer = await self._answer({**request, "bundle": content})
        if "failed" in answer:
            return Evaluation(failure=answer["failed"])
        return Evaluation({Rule(tuple(package), name): value for (package, name), value in answer["values"]})

    async def end(self) -> int:
        """End the child, if there is one, and return its exit status."""
        child, self._child = self._child, None
        if child is None:
            return 0
        assert child.stdin is not None  # noqa: S101 - a pipe
        child.stdin.close()
        try:
            async with asyncio.timeout(TIMEOUT_STOP):
                return await child.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                child.kill()
            return await child.wait()

    async def _started(self) -> bool:
        if self._child is not None and self._child.returncode is None:
            return True
        try:
            self._child = await asyncio.create_subprocess_exec(
                *COMMAND,
                cwd=_ROOT,
                env={},  # no variable of the server, whose environment has secrets
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                limit=2 * MAX_ANSWER,
            )
        except OSError:
            return False
        ready = await self._exchange(b"", START_SECONDS) == READY
        if not ready:
            await self.end()
        return ready

    async def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        line = await self._exchange(json.dumps(request).encode() + b"\n", TIMEOUT_ANSWER)
        if not line.endswith(b"\n"):
            status = await self.end()
            log.warning("opa.evaluator_ended", sha256=request["sha256"], status=status)
            return {"failed": how_it_ended(status, SUBJECT)}
        try:
            answer: Mapping[str, Any] = json.loads(line)
            last = answer["last"]
        except (ValueError, KeyError, TypeError):
            log.warning("opa.evaluator_unreadable", sha256=request["sha256"])
            answer, last = {"failed": UNREADABLE}, True
        if last:
            await self.end()
        return answer

    async def _exchange(self, request: bytes, seconds: float) -> bytes:
        """Send a request and return the answering line; an incomplete one if the child ends or takes too long.

        A child that was interrupted is killed: otherwise its next line would answer this request.
        """
        child = self._child
        assert child is not None  # noqa: S101 - it was started
        assert child.stdin is not None  # noqa: S101 - both are pipes
        assert child.stdout is not None  # noqa: S101
        line = b""
        try:
            async with asyncio.timeout(seconds):
                child.stdin.write(request)
                await child.stdin.drain()
                line = await child.stdout.readline()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            if not line.endswith(b"\n") and not child.stdout.at_eof():
                with suppress(ProcessLookupError):
                    child.kill()
        return line
