"""Limiting the memory of this process without a resource limit.

The engine's allocator reserves hundreds of gibibytes of address space that it never touches, so that RLIMIT_AS and
RLIMIT_DATA would forbid it to start. A thread looks at what is really used; the engine runs without the interpreter's
lock.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from integrations.opa.protocol import OUT_OF_MEMORY

INTERVAL = 0.02
_STATUS = Path("/proc/self/status")
_UNIT = 1 if sys.platform == "darwin" else 1024


class MemoryLimit:
    """Ends the process while work is `watched` that uses more than `most` bytes beyond what is in use now."""

    def __init__(self, most: int) -> None:
        self._peak = _peak_of_process()
        self._begin = self._peak()
        self._most = most
        self._busy = Event()
        Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the work of the block."""
        self._busy.set()
        yield
        self._busy.clear()

    @property
    def worn(self) -> bool:
        """Whether so much has been used that a new process is better than the next piece of work in this one."""
        return self._peak() - self._begin > self._most // 2

    def _watch(self) -> None:
        while self._busy.wait():
            if self._peak() - self._begin > self._most:
                os._exit(OUT_OF_MEMORY)
            time.sleep(INTERVAL)


def _peak_of_process() -> Callable[[], int]:
    """Return a function for the most memory in bytes that the process has used.

    Its resource usage begins with that of its parent, however much that is, so Linux is asked for its own.
    """
    if not _STATUS.exists():
        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    status = os.open(_STATUS, os.O_RDONLY)  # kept: soon the process may open no file
    return lambda: int(os.pread(status, 4096, 0).partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024
