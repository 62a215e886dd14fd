"""Reading evidence in tests: content in, reading out, and what must hold of every reading."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import strategies as st

from integrations.formats.evidence import parse_evidence
from integrations.formats.parsed import ParsedEvidence
from tests.paths import FIXTURES

MAX_DETAILS = 16 * 1024


def reading_of(kind: str, content: bytes | str) -> ParsedEvidence:
    """The reading of a file with this content."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "evidence"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        reading = parse_evidence(kind, path)
    assert reading is not None
    return kept(reading)


def reading_of_json(kind: str, document: Any) -> ParsedEvidence:
    return reading_of(kind, json.dumps(document))


def fixture_reading(kind: str, folder: str, name: str) -> ParsedEvidence:
    (path,) = (FIXTURES / folder).glob(f"{name}.*")
    reading = parse_evidence(kind, path)
    assert reading is not None
    return kept(reading)


def fixture_names(folder: str) -> list[str]:
    return sorted(path.stem for path in (FIXTURES / folder).iterdir())


def kept(reading: ParsedEvidence) -> ParsedEvidence:
    """The reading, once it is known to be fit for the database and to have been foreseen by its reader."""
    encoded = orjson.dumps(reading.details)
    assert len(encoded) <= MAX_DETAILS
    assert b"\\u0000" not in encoded
    assert orjson.loads(encoded) == dict(reading.details)
    assert all(math.isfinite(number) for number in reading.details.values() if isinstance(number, float))
    assert (reading.reason is None) == (reading.passed is True)
    assert len(reading.reason or "") <= 1000
    assert reading.details.get("error") != "The file could not be read"
    assert "Traceback" not in str(reading)
    assert "/tmp" not in str(reading)
    return reading


def error_of(kind: str, content: bytes | str) -> str:
    """Why a file cannot be read; fails when it can."""
    reading = reading_of(kind, content)
    assert reading.passed is False
    assert set(reading.details) == {"error"}
    assert reading.reason == reading.details["error"]
    return str(reading.reason)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
"""Any small JSON value."""
