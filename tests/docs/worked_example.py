"""The worked example of docs/contributing.md as a change of the repository: whole files, and lines that are added.

`python -m tests.docs.worked_example` counts its lines.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.paths import DOCS

PAGE = DOCS / "contributing.md"
_BLOCK = re.compile(r"^```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"^\*\*(\S+)\*\*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What one block does to the file named last before it."""

    path: str
    lines: tuple[str, ...]
    whole: bool

    @property
    def added(self) -> list[str]:
        """The lines that a developer writes."""
        return list(self.lines) if self.whole else [line[1:] for line in self.lines if line.startswith("+")]

    def apply(self, root: Path) -> None:
        """Write the file, or add the lines at the one place where their neighbours stand."""
        file = root / self.path
        if self.whole:
            assert not file.exists(), f"{self.path} is there already"
            file.write_text("\n".join(self.lines) + "\n")
            return
        before = "".join(line[1:] + "\n" for line in self.lines if line.startswith(" "))
        after = "".join(line[1:] + "\n" for line in self.lines)
        text = file.read_text()
        assert text.count(before) == 1, f"{self.path} has these lines {text.count(before)} times:\n{before}"
        file.write_text(text.replace(before, after))


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page in their order."""
    for found in _BLOCK.finditer(page):
        path = _PATH.findall(page, 0, found.start())[-1]
        yield Block(path, tuple(found[2].splitlines()), whole=found[1] == "python")


def cost(page: str) -> dict[str, int]:
    """Files touched, and the lines written that are neither empty nor in a test."""
    source = [block for block in blocks(page) if not block.path.startswith("tests/")]
    return {
        "files": len({block.path for block in source}),
        "lines": sum(bool(line.strip()) for block in source for line in block.added),
        "tests": sum(bool(line.strip()) for b in blocks(page) if b.path.startswith("tests/") for line in b.added),
    }


if __name__ == "__main__":
    sys.stdout.write(f"{cost(PAGE.read_text())}\n")
