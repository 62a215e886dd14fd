"""How a record is declared to the ledger: which columns a leaf covers, under a format that never changes meaning."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.canonical import canonical_json_of_stored

ID = "id"
VERSION = "version"


@dataclass(frozen=True, slots=True)
class RecordForm:
    """The declared columns of one kind of record.

    A changed set of columns is a new form with the next `format`; the old one stays, so that old leaves still verify.
    `id_column` and `version_column` name the record in the audit; a record without versions has version 1.
    """

    kind: str
    format: int
    columns: tuple[str, ...]
    id_column: str = ID
    version_column: str | None = None

    def extended(self, *columns: str) -> "RecordForm":
        """The next format of the same record, with more columns."""
        return replace(self, format=self.format + 1, columns=(*self.columns, *columns))

    def declare(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The declared part of a row: of the values just written, or of the row as it stands now."""
        return {column: row[column] for column in self.columns}


EVENT_COLUMNS = (
    "id",
    "org_id",
    "name",
    "actor_id",
    "credential_id",
    "record_kind",
    "record_id",
    "record_version",
    "trail_id",
    "environment_id",
    "digest",
    "payload",
    "occurred_at",
    "region",
    "request_id",
)
"""The columns of an audit event that its own leaf covers."""


def envelope(form: RecordForm, event: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    """The canonical JSON that a leaf covers: the event's declared columns and the record's."""
    return canonical_json_of_stored(
        {"event": {name: event[name] for name in EVENT_COLUMNS}, "record": form.declare(record)}
    )


def leaf(form: RecordForm, nonce: bytes, event: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    """The RFC 6962 leaf hash of an event: SHA-256(0x00 ‖ format ‖ nonce ‖ envelope).

    The nonce keeps an erased record from being guessed out of its leaf.
    """
    return hashlib.sha256(b"\x00" + bytes([form.format]) + nonce + envelope(form, event, record)).digest()
