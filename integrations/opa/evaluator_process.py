"""Evaluating policies in a process of its own: `python -m integrations.opa.evaluator_process`.

It reads requests from standard input and writes answers to standard output, each a line of JSON, and ends with its
input. A policy that takes too long or too much memory ends the process; so does a crash of the engine. Once it has
reported that it is ready, it can open no file and no socket.
"""

import json
import os
import resource
import signal
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, BinaryIO

from domain.gates.rego import Module, Rule
from integrations.opa.engine import Policy, RegoFault
from integrations.opa.memory import MemoryLimit
from integrations.opa.protocol import MAX_ANSWER, READY

TIMEOUT_BUILD = 10.0
TIMEOUT_POLICY = 1.0
"""Seconds of processor time to build a bundle that is not built yet, and to evaluate it."""
MEMORY = 512 << 20
"""Bytes of memory beyond those of the idle process."""
MAX_BUILT = 8
"""Bundles that stay built: those used last."""


class _Policies:
    """The bundles that are built, by their digest."""

    def __init__(self) -> None:
        self._built: OrderedDict[str, Policy] = OrderedDict()

    def answer(self, sha256: str, input: str, bundle: Mapping[str, Any] | None) -> Mapping[str, Any]:  # noqa: A002
        """Evaluate a bundle; one that is not built and is not given is `missing`."""
        if sha256 not in self._built and bundle is None:
            return {"missing": True}
        try:
            policy = self._policy(sha256, bundle)
            _limit(TIMEOUT_POLICY)
            return {"values": list(policy.values(input).items())}
        except RegoFault as fault:
            return {"failed": str(fault)}

    def _policy(self, sha256: str, bundle: Mapping[str, Any] | None) -> Policy:
        if bundle is not None:
            _limit(TIMEOUT_BUILD)
            rules = [Rule(tuple(package), name) for package, name in bundle["rules"]]
            self._built[sha256] = Policy([Module(*one) for one in bundle["modules"]], bundle["data"], rules)
        self._built.move_to_end(sha256)
        if len(self._built) > MAX_BUILT:
            self._built.popitem(last=False)
        return self._built[sha256]


def main() -> int:
    """Answer requests until the input ends; return the exit status 0."""
    for stopping in (signal.SIGINT, signal.SIGTERM):  # for the server to handle, which may be serving a request
        signal.signal(stopping, signal.SIG_IGN)
    answers = _apart_from_output()
    policies = _Policies()
    for text in ("{}", "{"):  # load now what Python imports at first use, for a result or for a failure
        warming = {"modules": [["", "package warming\nallow = input.x"]], "data": {}, "rules": [[["warming"], "allow"]]}
        policies.answer("", text, warming)
    memory = MemoryLimit(MEMORY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    _write(answers, READY)
    for line in sys.stdin.buffer:
        with memory.watched():
            answer = policies.answer(**json.loads(line))
            last = memory.worn
            told = _line(answer, last=last)
        _limit(0)
        _write(answers, told if len(told) <= MAX_ANSWER else _line({"failed": "The result is too large"}, last=last))
        if last:
            break
    return 0


def _apart_from_output() -> BinaryIO:
    """Return where answers go: what the engine prints must not mix with them."""
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return answers


def _line(answer: Mapping[str, Any], *, last: bool) -> bytes:
    return json.dumps({**answer, "last": last}).encode() + b"\n"


def _limit(seconds: float) -> None:
    """Allow so much processor time from now on; 0 for any. SIGPROF is not caught, so it ends the process."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _write(answers: BinaryIO, line: bytes) -> None:
    answers.write(line)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
