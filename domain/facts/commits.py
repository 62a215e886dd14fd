"""Commit ids as senders write them: complete or abbreviated."""

import re

_WHOLE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")


def is_whole(commit: str) -> bool:
    """Whether it is a complete git object name, SHA-1 or SHA-256, in lower case."""
    return _WHOLE.fullmatch(commit) is not None


def is_abbreviated(commit: str) -> bool:
    """Whether it is an abbreviated object name: 7 to 39 hexadecimal digits, in lower case."""
    return _ABBREVIATED.fullmatch(commit) is not None
