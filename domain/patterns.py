"""Regular expressions that people write: RE2, which matches in linear time, within limits on length and memory."""

from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN = 1000
"""Characters of one pattern."""
MAX_MATCHING = 2_000_000
"""Instructions of patterns times texts that are matched in one go: in the worst case about three seconds."""
_MEMORY = 64 * 1024
"""Bytes for one pattern, within which RE2 also keeps what it remembers while matching. A pattern that needs more is
refused before it is compiled to its end."""


class BadPattern(ValueError):  # noqa: N818 - reads as an outcome
    """The text is no acceptable pattern; the message says why, and begins like the end of a sentence."""


def compiled_pattern(text: str) -> Any:
    """Compile a pattern of RE2. Raises BadPattern."""
    if len(text) > MAX_PATTERN:
        raise BadPattern(f"longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = bytes(error.args[0]).decode(errors="replace").partition(":")[0]
        raise BadPattern(f"that RE2 does not accept ({reason}): {text[:60]!r}") from error


cached_pattern = lru_cache(maxsize=1000)(compiled_pattern)
"""Compile a pattern that is stored, and therefore met again. Raises BadPattern."""
