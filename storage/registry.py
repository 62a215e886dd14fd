"""The registry of storage: all tables, what secrets are for, and how each kind of sealed record is read back.

This is the only core module that imports the surfaces; other core modules get its content as arguments.
"""

from domain.facts.reconciliations import TOKEN_PURPOSE
from domain.facts.webhook_configs import SECRET_PURPOSE
from domain.notifications.rules import CONFIG_PURPOSE, SIGNING_PURPOSE
from storage.audit import tables as audit_tables
from storage.blobs import tables as blob_tables
from storage.environments import tables as environment_tables
from storage.environments.records import RECORDS as ENVIRONMENT_RECORDS
from storage.facts import tables as facts_tables
from storage.facts.records import RECORDS as FACTS_RECORDS
from storage.gates import tables as gate_tables
from storage.gates.records import RECORDS as GATE_RECORDS
from storage.idempotency import tables as idempotency_tables
from storage.identity import tables as identity_tables
from storage.identity.records import RECORDS as IDENTITY_RECORDS
from storage.inbox import tables as inbox_tables
from storage.ledger import tables as ledger_tables
from storage.ledger.records import RecordSource
from storage.notifications import tables as notification_tables
from storage.notifications.records import RECORDS as NOTIFICATION_RECORDS
from storage.outbox import tables as outbox_tables
from storage.schedule import tables as schedule_tables
from storage.schema import metadata
from storage.search import tables as search_tables
from storage.secrets import tables as secret_tables

TABLES = (
    audit_tables,
    blob_tables,
    environment_tables,
    facts_tables,
    gate_tables,
    idempotency_tables,
    identity_tables,
    inbox_tables,
    ledger_tables,
    notification_tables,
    outbox_tables,
    schedule_tables,
    search_tables,
    secret_tables,
)
"""Importing these modules registers their tables in the metadata."""

METADATA = metadata

SECRET_PURPOSES = (SECRET_PURPOSE, TOKEN_PURPOSE, CONFIG_PURPOSE, SIGNING_PURPOSE)
"""Everything that a stored secret may be for."""

RECORDS: dict[str, RecordSource] = {
    source.form.kind: source
    for source in (*IDENTITY_RECORDS, *NOTIFICATION_RECORDS, *FACTS_RECORDS, *ENVIRONMENT_RECORDS, *GATE_RECORDS)
}
"""Record sources by kind of record."""
