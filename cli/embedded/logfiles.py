"""The log files of the children, kept below a size.

The children write to their files themselves, so that no line waits for this process, and no child for a reader of its
output. Therefore a file is not moved but copied and emptied, which is safe because it is opened for appending. A line
that is written between the end of the copy and the emptying is lost, or cut.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cli.embedded.children import open_log


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The files `*.log` of a folder. One above `size` bytes is moved to `*.log.1`; `kept` older ones are kept."""

    folder: Path
    size: int
    kept: int

    def rotate(self) -> None:
        """Rotate the files that are too large. A file system that refuses never stops what runs."""
        for log in self.folder.glob("*.log"):
            with suppress(OSError):
                if log.stat().st_size > self.size:
                    self._rotate(log)

    def _rotate(self, log: Path) -> None:
        """Empty a file, even if it cannot be copied: on a full disk, everything else needs the space more."""
        try:
            self._keep(log)
        finally:
            os.truncate(log, 0)

    def _keep(self, log: Path) -> None:
        numbered = [log.with_name(f"{log.name}.{number}") for number in range(1, self.kept + 1)]
        for newer, older in reversed(list(pairwise(numbered))):
            with suppress(FileNotFoundError):
                newer.replace(older)
        for newest in numbered[:1]:
            newest.unlink(missing_ok=True)
            _copy(log, newest)


def _copy(log: Path, target: Path) -> None:
    """Copy a file up to the end that it has by then; leave no half of a copy behind."""
    try:
        with log.open("rb") as source, os.fdopen(open_log(target), "wb") as copy:
            shutil.copyfileobj(source, copy)
    except OSError:
        target.unlink(missing_ok=True)
        raise
