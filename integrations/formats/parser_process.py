"""Parse one evidence file in a separate process: `python -m integrations.formats.parser_process TYPE FILE`.

The memory of a large file is freed with the process, and a crash of the parser only means that the file could not be
parsed. The outcome is written to the standard output as JSON; nothing is written if the type has no parser.
"""

import json
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from integrations.formats.evidence import parse_evidence
from integrations.formats.parsed import ParsedEvidence

MEMORY = 2 * 2**30
"""Bytes of address space: twice what the largest permitted file of any format needs."""
NICENESS = 10
"""How much the process stands back behind those that answer requests."""


def main(words: Sequence[str]) -> int:
    """Parse the file and write the outcome. Returns the exit status."""
    kind, path = words
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    parsed = parse_evidence(kind, Path(path))
    if parsed is not None:
        sys.stdout.write(to_text(parsed))
    return 0


def to_text(parsed: ParsedEvidence) -> str:
    """Write an outcome as JSON."""
    return json.dumps(
        {"passed": parsed.passed, "details": dict(parsed.details), "reason": parsed.reason, "doubt": parsed.doubt}
    )


def from_text(text: str) -> ParsedEvidence | None:
    """Read what `main` wrote; None if the type has no parser."""
    return ParsedEvidence(**json.loads(text)) if text else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
