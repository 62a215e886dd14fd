"""Parsing one evidence file in a process of its own: `python -m integrations.formats.parser_process TYPE FILE`.

What a large file costs in memory and time then ends with the process, and a parser's crash is a file that could not be
parsed. The outcome is written to the standard output as JSON; nothing where evidence of that type is not parsed.
"""

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from integrations.formats.evidence import parse_evidence
from integrations.formats.parsed import ParsedEvidence

MEMORY = 2 * 2**30
"""Bytes of address space: the largest file of any format fits, twice."""


def main(words: Sequence[str]) -> int:
    """The exit status: 0, or that of a crash."""
    kind, path = words
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    parsed = parse_evidence(kind, Path(path))
    if parsed is not None:
        sys.stdout.write(to_text(parsed))
    return 0


def to_text(parsed: ParsedEvidence) -> str:
    """The outcome as text."""
    return json.dumps({"passed": parsed.passed, "details": dict(parsed.details), "reason": parsed.reason})


def from_text(text: str) -> ParsedEvidence | None:
    """What `main` wrote."""
    return ParsedEvidence(**json.loads(text)) if text else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
