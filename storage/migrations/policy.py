"""Which tables Alembic compares: all except partitions, which follow their parent and change every month."""

import re
from typing import Any

_PARTITION = re.compile(r"_(p\d{6}|rest)$")


def compared(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    """Decide whether to compare an object; this is Alembic's include_object."""
    return not (kind == "table" and name is not None and _PARTITION.search(name))
