"""Rendering users' templates in a process of its own: `python -m workers.notifications.template_process`.

It reads requests from standard input and writes answers to standard output, each a line of JSON, and ends with its
input. A template that takes too long ends the process; so does a crash. Once it has reported that it is ready, it can
open no file and no socket, so that a template that escapes the sandbox finds nothing to use.
"""

import json
import resource
import signal
import sys
from typing import Any

from domain.notifications.templates import FILTERS, TemplateFailed, rendered

TIMEOUT_TEMPLATE = 1.0
"""Seconds of processor time for all templates of one request."""
MEMORY = 256 * 2**20
"""Limit of the address space in bytes; the interpreter uses about a tenth."""
READY = b'{"ready": true}\n'


def main() -> int:
    """Answer requests until the input ends; return the exit status 0."""
    for stopping in (signal.SIGINT, signal.SIGTERM):  # for the worker to handle, which may be rendering a message
        signal.signal(stopping, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name in FILTERS:  # load now what Python and jinja2 import at first use, for a result or for a failure
        _answer({name: f"{{{{ 'a' | {name} }}}}"}, {})
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    _write(READY)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, TIMEOUT_TEMPLATE)  # SIGPROF is not caught, so it ends the process
        answer = _answer(**json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(json.dumps(answer).encode() + b"\n")
    return 0


def _answer(sources: dict[str, str], variables: dict[str, Any]) -> dict[str, Any]:
    texts = {}
    for name, source in sources.items():
        try:
            texts[name] = rendered(source, variables)
        except TemplateFailed as failed:
            return {"failed": f"{name}: {failed.reason}"}
    return {"texts": texts}


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
