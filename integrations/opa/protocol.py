"""What the server and the processes of the engine say to each other. The server does not load the engine for it."""

import signal

READY = b'{"ready": true}\n'
"""The first line of a process that evaluates policies."""
MAX_ANSWER = 1 << 20
"""Bytes of its longest answer."""
OUT_OF_MEMORY = 86
"""Exit status of a process that used more memory than it may."""

_ENDINGS = {
    -signal.SIGPROF: "{} took too long",
    -signal.SIGKILL: "{} did not answer in time, or the system ended it",
    OUT_OF_MEMORY: "{} needed too much memory",
}


def how_it_ended(status: int, subject: str) -> str:
    """Return why `subject` has no result, by the exit status of its process."""
    return _ENDINGS.get(status, "{} crashed").format(subject)
