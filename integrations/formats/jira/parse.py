"""A reference to a Jira issue: its key as plain text, or JSON with the key in `issueRef`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrations.formats.json_files import as_object, as_text, parse_json, read_utf8
from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable, shown

_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,254}-[0-9]{1,18}")
"""Jira's rule for project keys: a capital letter, then capital letters, digits and underscores."""


def parse(path: Path, _: Deadline) -> ParsedEvidence:
    """Pass if the text has the form of an issue key; Jira is not asked whether the issue exists. Raises Unreadable."""
    text = read_utf8(path).strip()
    details = _from_json(text) if text.startswith(b"{") else {"issueRef": _decoded(text)}
    reference = details["issueRef"]
    shortened = {name: shown(value) for name, value in details.items()}
    if _KEY.fullmatch(reference):
        return ParsedEvidence(passed=True, details=shortened)
    return ParsedEvidence(
        passed=False, details=shortened, reason=f"{shown(reference)!r} is not the key of a Jira issue"
    )


def _from_json(text: bytes) -> Mapping[str, str]:
    document: Mapping[str, Any] = as_object(parse_json(text))
    reference = as_text(document.get("issueRef"))
    if not reference:
        raise Unreadable("The file has no issueRef")
    status = as_text(document.get("status"))
    return {"issueRef": reference} | ({"status": status} if status else {})


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except ValueError:
        raise Unreadable("The file is not UTF-8 text") from None
