"""Reading one evidence file in a process of its own: `python -m integrations.formats.parser_process TYPE FILE`.

What a large file costs in memory and time then ends with the process, and a parser's crash is a reading that failed.
The reading is written to the standard output as JSON; nothing where evidence of that type is not read.
"""

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from integrations.formats.evidence import read_evidence
from integrations.formats.parsed import Reading

MEMORY = 2 * 2**30
"""Bytes of address space: the largest file of any format fits, twice."""


def main(words: Sequence[str]) -> int:
    """The exit status: 0, or that of a crash."""
    kind, path = words
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    reading = read_evidence(kind, Path(path))
    if reading is not None:
        sys.stdout.write(written(reading))
    return 0


def written(reading: Reading) -> str:
    """A reading as text."""
    return json.dumps({"passed": reading.passed, "details": dict(reading.details), "reason": reading.reason})


def understood(text: str) -> Reading | None:
    """What `main` wrote."""
    return Reading(**json.loads(text)) if text else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
