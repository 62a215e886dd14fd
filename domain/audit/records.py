"""Which columns of a record a ledger leaf covers, declared under a format number whose meaning never changes."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.canonical import canonical_json_of_stored
from domain.identity.permissions import Permission

ID = "id"
VERSION = "version"


@dataclass(frozen=True, slots=True)
class RecordForm:
    """The declared columns of one kind of record.

    To change the columns, add a form with the next `format` and keep the old one, so that old leaves still verify.
    `id_column` and `version_column` identify the record in the audit; a record without versions has version 1.
    `read` is the permission to see the record: without it, the ledger shows only hashes. `late`: see `extended`.
    """

    kind: str
    format: int
    columns: tuple[str, ...]
    read: Permission
    id_column: str = ID
    version_column: str | None = None
    late: frozenset[str] = frozenset()

    def extended(self, *columns: str, late: Collection[str] = ()) -> "RecordForm":
        """Make the next format of the same record, with more columns.

        `late` are those in which records of the older formats have values, too.
        """
        return replace(self, format=self.format + 1, columns=(*self.columns, *columns), late=self.late.union(late))

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


def event_text(event: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of the columns of an event that its leaf covers."""
    return canonical_json_of_stored({name: event[name] for name in EVENT_COLUMNS})


def record_text(form: RecordForm, record: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of the declared columns of a record."""
    return canonical_json_of_stored(form.declare(record))


def record_hash(form: RecordForm, record: Mapping[str, Any]) -> bytes:
    """Compute H(record), which the audit keeps, so that an event verifies although its record has changed since."""
    return hashlib.sha256(record_text(form, record)).digest()


def leaf(record_format: int, nonce: bytes, text_of_event: bytes, hash_of_record: bytes) -> bytes:
    """Compute the RFC 6962 leaf hash of an event: SHA-256(0x00 ‖ format ‖ nonce ‖ H(event) ‖ H(record)).

    `text_of_event` is that of `event_text`. The nonce prevents guessing the content of an erased event from its leaf.
    """
    hash_of_event = hashlib.sha256(text_of_event).digest()
    return hashlib.sha256(b"\x00" + bytes([record_format]) + nonce + hash_of_event + hash_of_record).digest()


def first_leaf(form: RecordForm, nonce: bytes, event: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    """Compute the leaf as Trailgate did before it kept H(record): SHA-256(0x00 ‖ format ‖ nonce ‖ both as one JSON)."""
    both = {"event": {name: event[name] for name in EVENT_COLUMNS}, "record": form.declare(record)}
    return hashlib.sha256(b"\x00" + bytes([form.format]) + nonce + canonical_json_of_stored(both)).digest()
