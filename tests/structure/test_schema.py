"""What the database must look like whatever the migrations did."""

import pytest

from domain.audit.events import V1_NAMES, AuditName
from domain.audit.records import EVENT_COLUMNS
from storage.database import Reader
from storage.ledger.records import RecordSource
from storage.migrations import differences, migrate
from storage.registry import METADATA, RECORDS
from storage.schema import FACT, tables_of
from storage.services import Services
from tests.conftest import Installation

NOT_TENANT = {
    "alembic_version",
    "api_key_uses",
    "session_uses",
    "workload_identity_uses",
    "blobs",
    "inbox_bodies",
    "organisations",
    "principals",
    "schedule",
    "master_keys",
    "signing_keys",
}
"""Tables without org_id: of the platform, or reached only through a row that has it."""


async def test_the_migrations_make_what_the_code_declares(installation: Installation) -> None:
    assert await differences(installation.database_url) == []
    assert await migrate(installation.database_url) == []


async def test_columns_are_declared_in_the_order_of_the_database(services: Services) -> None:
    """`storage.batches` writes rows by their place."""
    async with services.database.read() as reader:
        rows = await reader.rows(
            "SELECT attrelid::regclass::text AS name, array_agg(attname::text ORDER BY attnum) AS columns "
            "FROM pg_attribute WHERE attrelid = ANY($1::text[]::regclass[]) AND attnum > 0 AND NOT attisdropped "
            "GROUP BY 1",
            list(METADATA.tables),
        )
    in_order = {row["name"]: row["columns"] for row in rows}
    assert in_order == {table.name: [column.name for column in table.columns] for table in METADATA.tables.values()}


async def test_every_fact_table_refuses_change(services: Services) -> None:
    async with services.database.read() as reader:
        rows = await reader.rows(
            "SELECT DISTINCT event_object_table AS name FROM information_schema.triggers "
            "WHERE trigger_name = 'append_only'"
        )
    guarded = {row["name"] for row in rows if not row["name"].endswith(("_rest",)) and "_p2" not in row["name"]}
    assert guarded == {table.name for table in tables_of(FACT)}


async def test_every_tenant_table_has_its_tenant_and_an_index_for_it(services: Services) -> None:
    async with services.database.read() as reader:
        indexed = await _leading_columns(reader)
    for table in METADATA.tables.values():
        if table.name in NOT_TENANT:
            continue
        assert "org_id" in table.columns, f"{table.name} has no tenant"
        assert not table.columns["org_id"].nullable
        by_id_only = {
            "allowlist_removals",
            "approval_decisions",
            "approval_outcomes",
            "attestation_results",
            "environment_versions",
            "flow_versions",
            "policy_versions",
            "idempotency_keys",
            "judgements",
            "provenance_checks",
            "reconciliations",
            "redelivery_requests",
            "running",
            "latest_results",
            "trails",
            "secrets",
            "security_threshold_versions",
        }
        assert "org_id" in indexed[table.name] or table.name in by_id_only, f"{table.name} has no index by tenant"


async def _leading_columns(reader: Reader) -> dict[str, set[str]]:
    rows = await reader.rows(
        "SELECT c.relname AS name, a.attname AS leading FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["name"], set()).add(row["leading"])
    return found


@pytest.mark.parametrize("source", [s for s in RECORDS.values() if s.form.columns], ids=lambda source: source.form.kind)
async def test_every_declared_column_can_be_read_back(services: Services, source: RecordSource) -> None:
    async with services.database.read() as reader:
        await reader.rows(f"SELECT {', '.join(source.form.columns)} FROM ({source.select}) r LIMIT 1")


def test_an_events_columns_exist() -> None:
    assert set(EVENT_COLUMNS) <= {column.name for column in METADATA.tables["audit_events"].columns}


def test_audit_names_map_both_ways() -> None:
    assert {V1_NAMES[name.v1] for name in AuditName} == set(AuditName)
