"""The one form of an instant on the wire: UTC, `Z`, microseconds."""

import re
from collections.abc import Mapping
from typing import Any

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def assert_times(entity: Mapping[str, Any], *names: str) -> None:
    for name in names:
        assert INSTANT.fullmatch(entity[name]), (name, entity[name])
