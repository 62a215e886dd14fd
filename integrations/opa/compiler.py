"""Compiling bundles, each in a process of its own."""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path

from domain.errors import Invalid, Rejected
from domain.gates.rego import Rule, Source
from integrations.opa.protocol import how_it_ended

TIMEOUT_ANSWER = 20.0
"""Seconds by the clock: the process ends itself after five of work, the rest allows for load."""

_ROOT = Path(__file__).parents[2]


async def compiled(source: Source) -> tuple[Rule, ...]:
    """Compile a bundle and return the rules that decide.

    Raises Invalid with what the compiler says, and Rejected for a bundle without a rule that decides.
    """
    request = json.dumps({"modules": source.modules, "data": source.data}).encode()
    with tempfile.TemporaryDirectory(prefix="opa-") as directory:
        status, output = await _run(directory, request)
    if status != 0:
        raise Invalid.of("regoContent", f"cannot be compiled: {how_it_ended(status, 'the compiler')}")
    answer = json.loads(output)
    if answer["faults"]:
        raise Invalid.of("regoContent", "; ".join(answer["faults"]))
    if not answer["rules"]:
        raise Rejected("regoContent: no package of the bundle has a rule `allow` or `deny`, so it decides nothing")
    return tuple(Rule(tuple(package), name) for package, name in answer["rules"])


async def _run(directory: str, request: bytes) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "integrations.opa.compiler_process", directory),
        cwd=_ROOT,
        env={},  # no variable of the server, whose environment has secrets
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        async with asyncio.timeout(TIMEOUT_ANSWER):
            output, _ = await process.communicate(request)
    except TimeoutError:
        output = b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        status = await process.wait()
    return status, output
