"""What is written explains itself: it names no document that is not here, and uses the terms of the field."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

_DOCUMENT = re.compile(r"(?<![\w/:.-])(?:[\w.-]+/)*[\w.-]+\.md\b")
_CODE = re.compile(r"\b[WC]\d{2}\b(?![:.]\d)")
"""Numbers of the scenarios of such a document: a letter and two digits."""

METAPHORS = re.compile(
    r"\b(?:doorbells?|the bell|rings?|ringing|nudg\w+|front doors?|bury|buries|buried|corridors?|the house|rooms?"
    r"|walls?)\b",
    re.IGNORECASE,
)
"""Words of our own for what has a name: wake-up, receiver, dead letter, request flow, architecture, package."""

SUFFIXES = {".py", ".md", ".toml", ".yaml", ".json", ".lua"}

HISTORY = {"CHANGELOG.md"}
"""What was written about the past stays."""


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of ours, and what it says."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        path = ROOT / name
        ours = path.is_file() and not name.startswith(("tests/fixtures/", "tests/structure/test_words.py"))
        if ours and (path.suffix in SUFFIXES or path.name == "Makefile"):
            yield name, path.read_text()


def places(pattern: re.Pattern[str]) -> Iterator[tuple[str, int, str]]:
    """Where something is said: file, line, the words."""
    for name, text in texts():
        for number, line in enumerate(text.splitlines(), 1):
            for found in pattern.finditer(line):
                yield name, number, found[0]


def _is_here(document: str, named_in: str) -> bool:
    places = (ROOT, ROOT / "docs", ROOT / "docs" / "adr", (ROOT / named_in).parent)
    return any((place / document).is_file() for place in places) or Path(document).name == "README.md"


def test_no_document_is_cited_that_is_not_here() -> None:
    assert [place for place in places(_DOCUMENT) if not _is_here(place[2], place[0])] == []


def test_no_section_of_such_a_document_is_cited() -> None:
    assert list(places(_CODE)) == []


def test_terms_are_those_of_the_field() -> None:
    assert [place for place in places(METAPHORS) if place[0] not in HISTORY] == []


@pytest.mark.parametrize("suffix", [".orig", ".rej", ".bak", ".swp", "~"])
def test_no_editor_left_anything(suffix: str) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert [name for name in listed.splitlines() if name.endswith(suffix)] == []
