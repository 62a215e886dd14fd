"""Rendering users' templates in a process of its own: `python -m workers.notifications.template_process`.

It reads requests from its standard input and writes answers to its standard output, each a line of JSON, and ends with
its input. A template that takes too long ends the process; so does a crash. Nothing is opened any more once it has
said that it is ready, no file and no socket: whoever gets out of the sandbox stands in an empty room.
"""

import json
import resource
import signal
import sys
from typing import Any

from domain.notifications.templates import FILTERS, TemplateFailed, rendered

TIMEOUT_TEMPLATE = 1.0
"""Of processor time, for all templates of one request."""
MEMORY = 256 * 2**20
"""Bytes of address space, of which the interpreter takes about a tenth."""
READY = b'{"ready": true}\n'


def main() -> int:
    """The exit status: 0 once the input ends."""
    for stopping in (signal.SIGINT, signal.SIGTERM):  # meant for the worker, which may have a message half told
        signal.signal(stopping, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name in FILTERS:  # what Python and jinja2 load at first use, for a result or for a failure, is loaded now
        _answer({name: f"{{{{ 'a' | {name} }}}}"}, {})
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    _say(READY)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, TIMEOUT_TEMPLATE)  # what comes of it, SIGPROF, nobody catches
        answer = _answer(**json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        _say(json.dumps(answer).encode() + b"\n")
    return 0


def _answer(sources: dict[str, str], variables: dict[str, Any]) -> dict[str, Any]:
    texts = {}
    for name, source in sources.items():
        try:
            texts[name] = rendered(source, variables)
        except TemplateFailed as failed:
            return {"failed": f"{name}: {failed.reason}"}
    return {"texts": texts}


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
