"""What the failure tests share."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What our code in this process logged; shown when the test fails. Rich tracebacks of it would cost seconds."""
    with capture_logs() as entries:
        yield entries
    for entry in entries:
        print(entry)  # noqa: T201 - pytest keeps it for failures
