"""Which statements the product runs: every text that its own modules hand to a connection while tests run."""

import functools
import sys
from typing import Any

from storage.database import Reader, Transaction

PRODUCT = ("api.", "workers.", "storage.", "integrations.", "cli.")
"""The modules whose statements count; those of a test itself do not."""


def record(seen: dict[str, str]) -> None:
    """From now on note every statement in `seen`, with the module that ran it first."""
    for holder, name in ((Reader, "rows"), (Reader, "row"), (Reader, "value"), (Transaction, "execute")):
        setattr(holder, name, _noting(getattr(holder, name), seen))


def _noting(method: Any, seen: dict[str, str]) -> Any:
    @functools.wraps(method)
    def noting(self: Reader, sql: str, *args: Any) -> Any:
        if sql not in seen:
            caller = sys._getframe(1).f_globals["__name__"]
            if caller.startswith(PRODUCT):
                seen[sql] = caller
        return method(self, sql, *args)

    return noting
