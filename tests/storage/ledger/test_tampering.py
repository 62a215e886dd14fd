"""Whoever changes one byte of what was sealed is found, whichever column it is (the issue's part 7)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain.audit.ledger import Checkpoint, SignedCheckpoint
from domain.audit.records import EVENT_COLUMNS
from storage.database import Reader, Row
from storage.environments.tables import environment_versions, environments
from storage.gates.tables import policies, policy_versions, security_threshold_versions, security_thresholds
from storage.ledger.inspection import Inspection
from storage.ledger.published import checkpoint_file, read_published
from storage.ledger.queries import newest_checkpoint
from storage.ledger.verification import VerificationOutcome, verify_record
from storage.registry import RECORDS
from storage.services import Services
from tests.storage import sealing
from tests.storage.ledger.every_record import one_of_every_kind
from tests.storage.world import World
from workers.seal import Sealer

# Where each declared column of a record really lives; what is not named lives in the record's own table.
ELSEWHERE = {
    ("flow", "description"): "flow_versions",
    ("flow", "required_types"): "flow_versions",
    ("flow", "tags"): "flow_versions",
    ("flow", "requires_approval"): "flow_versions",
    ("flow", "required_approver_roles"): "flow_versions",
    ("flow", "visibility"): "flow_versions",
    ("flow", "created_by"): "flow_versions",
    ("flow", "created_at"): "flow_versions",
    ("flow", "template_text"): "flow_versions",
    ("flow", "template"): "flow_versions",
    **{
        ("environment", one.name): "environment_versions"
        for one in environment_versions.columns
        if one.name == "created_at" or one.name not in environments.columns
    },
    **{
        ("policy", one.name): "policy_versions"
        for one in policy_versions.columns
        if one.name == "created_at" or one.name not in policies.columns
    },
    **{
        ("security_threshold", one.name): "security_threshold_versions"
        for one in security_threshold_versions.columns
        if one.name == "created_at" or one.name not in security_thresholds.columns
    },
    ("attestation", "status"): "attestation_results",
    ("attestation", "reason"): "attestation_results",
    ("attestation", "processor"): "attestation_results",
}
ID_COLUMN = {
    "flow_versions": "flow_id",
    "environment_versions": "environment_id",
    "approval_outcomes": "record_id",
    "policy_versions": "policy_id",
    "security_threshold_versions": "security_threshold_id",
}
DECLARED = [(kind, column) for kind, source in RECORDS.items() for column in source.form.columns]
LEDGER_COLUMNS = ("seq", "event_id", "leaf", "previous_hash", "entry_hash", "sealed_at")
_EVENTS_IN_ORDER = "SELECT event_id FROM ledger_entries WHERE org_id = $1 ORDER BY seq"
CHECKPOINT_COLUMNS = ("size", "root", "chain_hash", "key_id", "signature")


@pytest.fixture
async def sealed(own_services: Services) -> tuple[World, dict[str, UUID]]:
    """One record of every kind, sealed and under a checkpoint."""
    world = await World.founded(own_services)
    records = await one_of_every_kind(world)
    await Sealer()(own_services)
    return world, records


async def inspected(world: World, published: Sequence[SignedCheckpoint] = ()) -> Inspection:
    async with world.services.database.snapshot() as reader:
        return await sealing.inspected(world.services, reader, world.tenant.org_id, published)


def flipped(value: Any) -> Any:
    """The smallest change of a value."""
    match value:
        case None:
            return None
        case bool():
            return not value
        case int():
            return value ^ 1
        case str():
            return value[:-1] + chr(ord(value[-1]) ^ 1) if value else "x"
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1])
        case datetime():
            return value + timedelta(microseconds=1)
        case UUID():
            return UUID(int=value.int ^ 1)
        case list():
            return [*value, "x"]
        case dict():
            return {**value, "x": 1}
        case _:
            return UUID(int=UUID(str(value)).int ^ 1)


def some(column: str) -> Any:
    """A value for a column that was null."""
    if column.endswith(("_at", "_until")):
        return datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    if column.endswith("_id") and column not in {"pull_request_id", "request_id"}:
        return UUID(int=7)
    if column in {"permissions", "scopes"}:
        return ["facts:read"]
    if column == "break_glass":
        return True
    return {"x": 1} if column == "user_data" else "x"


def test_a_world_holds_every_kind_of_record(sealed: Any) -> None:
    assert set(sealed[1]) == {kind for kind, source in RECORDS.items() if source.form.columns}


async def test_what_nobody_touched_is_sound(sealed: tuple[World, dict[str, UUID]]) -> None:
    world, records = sealed
    state = await inspected(world)
    assert state.sound, state.findings
    assert state.entries >= len(records)
    assert state.checkpoints == 1
    assert state.waiting == 0
    async with world.services.database.read() as reader:
        for record_id in records.values():
            verdict = await verify_record(reader, world.tenant, record_id, RECORDS, world.services.trusted_keys)
            assert verdict.outcome is VerificationOutcome.VERIFIED, verdict
            assert verdict.proof is not None


class _Undo(Exception):
    """Ends the transaction in which something was tampered with."""


async def seen_after(world: World, *statements: tuple[Any, ...]) -> list[str]:
    """What inspection says while the statements' changes stand; they are rolled back afterwards."""
    said: list[str] = []
    try:
        async with world.services.database.transaction() as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")  # no foreign key stands in the way
            for sql, *args in statements:
                assert await tx.execute(sql, *args) > 0, f"changed nothing: {sql}"
            said += await findings(tx, world)
            raise _Undo
    except _Undo:
        return said


async def findings(reader: Reader, world: World) -> list[str]:
    state = await sealing.inspected(world.services, reader, world.tenant.org_id)
    return [f"{finding.where}: {finding.reason}" for finding in state.findings]


async def change_of(world: World, table: str, key: str, row_id: Any, column: str) -> tuple[Any, ...]:
    """The statement that changes one byte, or the smallest step, of a column."""
    async with world.services.database.read() as reader:
        row: Row | None = await reader.row(f"SELECT {column} AS value FROM {table} WHERE {key} = $1 LIMIT 1", row_id)
    assert row is not None
    changed = some(column) if row["value"] is None else flipped(row["value"])
    assert changed != row["value"]
    return f"UPDATE {table} SET {column} = $2 WHERE {key} = $1", row_id, changed


async def test_every_declared_column_of_every_record(sealed: tuple[World, dict[str, UUID]]) -> None:
    world, records = sealed
    unseen = []
    for kind, column in DECLARED:
        table = ELSEWHERE.get((kind, column), RECORDS[kind].table)
        statement = await change_of(world, table, ID_COLUMN.get(table, "id"), records[kind], column)
        said = await seen_after(world, statement)
        if not any(str(records[kind]) in line for line in said):
            unseen.append((table, column, said))
    assert not unseen


async def test_a_single_record_tells_as_well(sealed: tuple[World, dict[str, UUID]]) -> None:
    world, records = sealed
    for kind, record_id in records.items():
        source = RECORDS[kind]
        column = next(c for c in reversed(source.form.columns) if c != "id" and (kind, c) not in ELSEWHERE)
        sql, *args = await change_of(world, source.table, ID_COLUMN.get(source.table, "id"), record_id, column)
        try:
            async with world.services.database.transaction() as tx:
                await tx.execute("SET LOCAL session_replication_role = replica")
                await tx.execute(sql, *args)
                verdict = await verify_record(tx, world.tenant, record_id, RECORDS, world.services.trusted_keys)
                assert verdict.outcome is VerificationOutcome.ALTERED, (kind, column, verdict)
                raise _Undo
        except _Undo:
            pass


async def test_every_declared_column_of_an_audit_event(sealed: tuple[World, dict[str, UUID]]) -> None:
    world, records = sealed
    async with world.services.database.read() as reader:
        event_id = await reader.value("SELECT id FROM audit_events WHERE record_id = $1", records["attestation"])
    unseen = []
    for column in (*EVENT_COLUMNS, "format", "nonce", "leaf"):
        said = await seen_after(world, await change_of(world, "audit_events", "id", event_id, column))
        if not any(str(event_id) in line or str(records["attestation"]) in line for line in said):
            unseen.append((column, said))
    assert not unseen


@pytest.mark.parametrize("place", ["first", "middle", "last"])
async def test_every_column_of_a_ledger_entry(sealed: tuple[World, dict[str, UUID]], place: str) -> None:
    world, _ = sealed
    async with world.services.database.read() as reader:
        events = [row["event_id"] for row in await reader.rows(_EVENTS_IN_ORDER, world.tenant.org_id)]
    event_id = {"first": events[0], "middle": events[len(events) // 2], "last": events[-1]}[place]
    unseen = []
    for column in LEDGER_COLUMNS:
        sql, row_id, changed = await change_of(world, "ledger_entries", "event_id", event_id, column)
        changed = changed + 1000 if column == "seq" else changed  # a neighbour's number would only break the key
        if not await seen_after(world, (sql, row_id, changed)):
            unseen.append(column)
    assert not unseen


async def test_every_column_of_a_checkpoint_and_its_key(sealed: tuple[World, dict[str, UUID]]) -> None:
    world, _ = sealed
    for column in CHECKPOINT_COLUMNS:
        said = await seen_after(world, await change_of(world, "checkpoints", "org_id", world.tenant.org_id, column))
        assert any(line.startswith("checkpoints") for line in said), (column, said)


async def test_tiles_rows_gone_rows_slipped_in_and_versions_set_back(sealed: tuple[World, dict[str, UUID]]) -> None:
    world, records = sealed
    org = world.tenant.org_id
    attestation, trail = records["attestation"], records["trail"]
    slipped = (
        "INSERT INTO attestations (id, org_id, trail_id, type, identity, origin, reported_by, observed_at, created_at) "
        "VALUES ($1, $2, $3, 'TEST', 'x', 'api', $1, now(), now())"
    )
    result = (
        "INSERT INTO attestation_results (attestation_id, n, org_id, status, id, created_at) "
        "VALUES ($1, 1, $2, 'PASSED', $1, now())"
    )
    cases = {
        "tile": (await change_of(world, "ledger_tiles", "org_id", org, "hashes"),),
        "record gone": (("DELETE FROM attestations WHERE id = $1", attestation),),
        "event gone": (("DELETE FROM audit_events WHERE record_id = $1", attestation),),
        "entry gone": (("DELETE FROM ledger_entries WHERE org_id = $1 AND seq = 3", org),),
        "last entry gone": (
            ("DELETE FROM ledger_entries WHERE seq = (SELECT max(seq) FROM ledger_entries WHERE org_id = $1)", org),
        ),
        "slipped in": ((slipped, UUID(int=9), org, trail), (result, UUID(int=9), org)),
        "version ahead": (("UPDATE trails SET version = version + 1 WHERE id = $1", trail),),
    }
    for name, statements in cases.items():
        assert await seen_after(world, *statements), f"{name} went unseen"


async def test_a_rewritten_ledger_does_not_fit_what_was_published(sealed: tuple[World, dict[str, UUID]]) -> None:
    """Who owns database and key can make all of it consistent again, but not what stands outside."""
    world, _ = sealed
    path = checkpoint_file(world.services.settings.checkpoints, world.tenant.org_id)
    published = read_published(path.read_text())
    assert (await inspected(world, published=published)).sound
    async with world.services.database.read() as reader:
        stored = await newest_checkpoint(reader, world.tenant.org_id)
    assert stored is not None
    forged = Checkpoint(world.tenant.org_id, stored.signed.checkpoint.size, bytes(32), bytes(32))
    signer = world.services.signer
    outside = [SignedCheckpoint(forged, signer.key_id, signer.sign(forged.body()))]
    state = await inspected(world, published=outside)
    assert [finding.reason for finding in state.findings] == ["the ledger was rewritten: its entries do not lead there"]


async def test_a_blanked_nonce_without_a_recorded_erasure_is_an_alteration(
    sealed: tuple[World, dict[str, UUID]],
) -> None:
    world, records = sealed
    async with world.services.database.transaction() as tx:
        await tx.execute("SET LOCAL trailgate.retention = 'on'")
        await tx.execute(
            "UPDATE audit_events SET payload = NULL, nonce = NULL WHERE record_id = $1", records["attestation"]
        )
    state = await inspected(world)
    assert [finding.outcome for finding in state.findings] == [VerificationOutcome.ALTERED]
    assert str(records["attestation"]) in state.findings[0].where
    async with world.services.database.read() as reader:
        verdict = await verify_record(
            reader, world.tenant, records["attestation"], RECORDS, world.services.trusted_keys
        )
    assert verdict.outcome is VerificationOutcome.ALTERED


async def test_the_applications_own_role_cannot_change_a_fact(own_services: Services) -> None:
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())
    await world.attest(world.attestation(trail.id, "BUILD"))
    for statement in ("UPDATE attestations SET type = 'X'", "DELETE FROM audit_events", "TRUNCATE ledger_entries"):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            async with own_services.database.transaction() as tx:
                await tx.execute(statement)
