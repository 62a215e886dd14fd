"""Which columns of a record a ledger leaf covers, declared under a format number whose meaning never changes."""

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

    To change the columns, add a form with the next `format` and keep the old one, so that old leaves still verify.
    `id_column` and `version_column` identify the record in the audit; a record without versions has version 1.
    """

    kind: str
    format: int
    columns: tuple[str, ...]
    id_column: str = ID
    version_column: str | None = None

    def extended(self, *columns: str) -> "RecordForm":
        """Make the next format of the same record, with more columns."""
        return replace(self, format=self.format + 1, columns=(*self.columns, *columns))

    def declare(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Pick the declared columns out of a row."""
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
    """Return the canonical JSON that a leaf covers: the declared columns of the event and of the record."""
    return canonical_json_of_stored(
        {"event": {name: event[name] for name in EVENT_COLUMNS}, "record": form.declare(record)}
    )


def leaf(form: RecordForm, nonce: bytes, event: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    """Compute the RFC 6962 leaf hash of an event: SHA-256(0x00 ‖ format ‖ nonce ‖ envelope).

    The nonce prevents guessing the content of an erased record from its leaf.
    """
    return hashlib.sha256(b"\x00" + bytes([form.format]) + nonce + envelope(form, event, record)).digest()
