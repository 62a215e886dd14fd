"""Which tables migrations compare: partitions follow their parent and come and go with the months."""

import re
from typing import Any

_PARTITION = re.compile(r"_(p\d{6}|rest)$")


def compared(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    """Alembic's include_object."""
    return not (kind == "table" and name is not None and _PARTITION.search(name))
