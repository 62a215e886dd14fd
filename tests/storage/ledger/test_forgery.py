"""Whoever owns the database, but not the keys, can neither have forged history signed nor erase history unseen."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.audit import merkle
from domain.audit.ledger import Checkpoint, extend
from domain.audit.records import EVENT_COLUMNS, event_text, leaf, record_hash
from domain.facts.attestations import ResultStatus
from domain.facts.records import ATTESTATION
from storage.audit.tables import unsealed
from storage.database import Transaction
from storage.facts.commands.flows import update_flow
from storage.keys import Signer, load_trusted_keys
from storage.ledger.heads import known_of, problem_of
from storage.ledger.marking import raise_marks
from storage.ledger.published import checkpoint_file, last_published
from storage.ledger.queries import ledger_size, newest_checkpoint
from storage.ledger.verification import VerificationOutcome, verify_record
from storage.registry import RECORDS
from storage.services import Services
from tests.storage import sealing
from tests.storage.world import World
from workers.seal import Sealer

Tamper = Callable[[Transaction, World], Awaitable[object]]


@pytest.fixture
async def world(own_services: Services) -> World:
    """An organisation with a FAILED attestation, sealed and published."""
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())
    await world.attest(world.attestation(trail.id, "BUILD", ResultStatus.FAILED))
    await Sealer()(own_services)
    return world


async def tampered(world: World, tamper: Tamper) -> None:
    """What somebody does who may do everything in the database."""
    async with world.services.database.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tamper(tx, world)


async def said(world: World) -> list[str]:
    async with world.services.database.snapshot() as reader:
        state = await sealing.inspected(world.services, reader, world.tenant.org_id)
    return [f"{finding.where}: {finding.reason}" for finding in state.findings]


async def problem(world: World) -> str | None:
    services = world.services
    known = known_of(services.settings, services.trusted_keys, world.tenant.org_id)
    async with services.database.snapshot() as reader:
        return await problem_of(reader, world.tenant.org_id, services.database.authenticator, known)


async def signed_size(world: World) -> int:
    async with world.services.database.read() as reader:
        stored = await newest_checkpoint(reader, world.tenant.org_id)
    return stored.signed.checkpoint.size if stored else 0


def published_size(world: World) -> int:
    last = last_published(checkpoint_file(world.services.settings.checkpoints, world.tenant.org_id))
    return last.checkpoint.size if last else 0


async def rewrite(tx: Transaction, world: World) -> None:
    """History from the first entry on, consistent in itself, without the checkpoints that say otherwise."""
    org_id = world.tenant.org_id
    rows = await tx.rows("SELECT event_id, sealed_at FROM ledger_entries WHERE org_id = $1 ORDER BY seq", org_id)
    events = [(row["event_id"], hashlib.sha256(row["event_id"].bytes).digest()) for row in rows]
    await tx.execute("DELETE FROM checkpoints WHERE org_id = $1", org_id)
    for entry in extend(0, bytes(32), events, rows[0]["sealed_at"]):
        await tx.execute(
            "UPDATE ledger_entries SET leaf = $3, previous_hash = $4, entry_hash = $5, sealed_at = $6 "
            "WHERE org_id = $1 AND seq = $2",
            *(org_id, entry.seq, entry.leaf, entry.previous_hash, entry.entry_hash, entry.sealed_at),
        )
    for (level, n), hashes in merkle.append({}, 0, [one for _, one in events])[0].items():
        update = "UPDATE ledger_tiles SET hashes = $4 WHERE org_id = $1 AND level = $2 AND n = $3"
        await tx.execute(update, org_id, level, n, hashes)


async def cut_back(tx: Transaction, world: World) -> None:
    """The newest entry, its event and everything that tells of it."""
    org_id = world.tenant.org_id
    size = await ledger_size(tx, world.tenant)
    await tx.execute("DELETE FROM checkpoints WHERE org_id = $1 AND size >= $2", org_id, size)
    await tx.execute("DELETE FROM ledger_entries WHERE org_id = $1 AND seq = $2", org_id, size)
    await tx.execute(
        "UPDATE ledger_tiles SET hashes = substr(hashes, 1, length(hashes) - 32) WHERE org_id = $1 AND level = 0",
        org_id,
    )


async def without_a_head(tx: Transaction, world: World) -> None:
    await tx.execute("DELETE FROM ledger_heads WHERE org_id = $1", world.tenant.org_id)


async def forge_an_entry(tx: Transaction, world: World) -> None:
    """An entry after the last one, with chain and tiles as the sealer writes them."""
    org_id, size = world.tenant.org_id, await ledger_size(tx, world.tenant)
    last = await tx.row("SELECT entry_hash, sealed_at FROM ledger_entries WHERE org_id = $1 AND seq = $2", org_id, size)
    leaves = await tx.rows("SELECT leaf FROM ledger_entries WHERE org_id = $1 ORDER BY seq", org_id)
    assert last is not None
    [entry] = extend(size, last["entry_hash"], [(UUID(int=5), bytes(32))], last["sealed_at"])
    await tx.execute(
        "INSERT INTO ledger_entries (org_id, seq, event_id, leaf, previous_hash, entry_hash, sealed_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(org_id, entry.seq, entry.event_id, entry.leaf, entry.previous_hash, entry.entry_hash, entry.sealed_at),
    )
    hashes = b"".join([row["leaf"] for row in leaves] + [entry.leaf])
    await tx.execute("UPDATE ledger_tiles SET hashes = $2 WHERE org_id = $1 AND level = 0 AND n = 0", org_id, hashes)


@pytest.mark.parametrize("tamper", [rewrite, cut_back, without_a_head, forge_an_entry], ids=lambda one: one.__name__)
async def test_what_trailgate_did_not_write_is_neither_extended_nor_signed(world: World, tamper: Tamper) -> None:
    before = published_size(world)
    await tampered(world, tamper)
    assert await problem(world)
    await world.flow()
    await Sealer()(world.services)
    await Sealer()(world.services)
    assert await signed_size(world) <= before
    assert published_size(world) == before
    assert await said(world)


async def test_other_ledgers_are_sealed_and_signed_beside_an_inconsistent_one(world: World) -> None:
    await tampered(world, forge_an_entry)
    other = await World.founded(world.services)
    await world.flow()
    await Sealer()(world.services)
    assert await problem(other) is None
    assert published_size(other) == await signed_size(other) > 0


async def test_events_that_wait_cannot_be_invented(world: World) -> None:
    """A FAILED result that becomes PASSED: an event of version 0 and a row in `unsealed`, both made by hand."""
    async with world.services.database.read() as reader:
        event = dict(
            await reader.row("SELECT * FROM audit_events WHERE record_kind = 'attestation'") or pytest.fail("no event")
        )
        row = await reader.row(f"{RECORDS['attestation'].select} WHERE a.id = $1", event["record_id"])
    assert row is not None
    record = {**row, "status": "PASSED"}
    forged = {**event, "id": UUID(int=event["id"].int + 1), "nonce": bytes(16)}
    forged["record_hash"] = record_hash(ATTESTATION, record)
    forged["leaf"] = leaf(ATTESTATION.format, forged["nonce"], event_text(forged), forged["record_hash"])

    async def invent(tx: Transaction, world: World) -> None:
        columns = (*EVENT_COLUMNS, "format", "nonce", "record_hash", "leaf")
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await tx.execute("UPDATE audit_events SET record_version = 0 WHERE id = $1", event["id"])
        await tx.execute(
            f"INSERT INTO audit_events ({', '.join(columns)}) VALUES ({places})", *(forged[name] for name in columns)
        )
        await tx.execute("UPDATE attestation_results SET status = 'PASSED' WHERE attestation_id = $1", row["id"])
        names = ", ".join(column.name for column in unsealed.columns)
        await tx.execute(
            f"INSERT INTO unsealed ({names}) VALUES ($1, $2, $3, $4)",
            *(world.tenant.org_id, forged["id"], forged["leaf"], bytes(32)),
        )

    await tampered(world, invent)
    findings = await said(world)
    assert any(line.startswith(f"unsealed {forged['id']}: ") for line in findings)
    assert any(str(event["id"]) in line for line in findings), "its version is part of the leaf"
    before = await signed_size(world)
    await Sealer()(world.services)
    async with world.services.database.read() as reader:
        assert await ledger_size(reader, world.tenant) == before
        verdict = await verify_record(reader, world.tenant, row["id"], RECORDS, world.services.trusted_keys)
    assert verdict.outcome is VerificationOutcome.ALTERED


async def erase_waiting(tx: Transaction, world: World) -> None:
    rows = await tx.rows("DELETE FROM unsealed WHERE org_id = $1 RETURNING event_id", world.tenant.org_id)
    await tx.execute("DELETE FROM audit_events WHERE id = ANY($1::uuid[])", [row["event_id"] for row in rows])


@pytest.mark.parametrize("others", [0, 3])
async def test_an_event_that_was_erased_before_it_was_sealed_is_missed(world: World, others: int) -> None:
    """However many events come after it."""
    before = published_size(world)
    await world.flow()
    await raise_marks(world.services)
    await tampered(world, erase_waiting)
    for _ in range(others):
        await world.flow()
        await raise_marks(world.services)
    assert "are gone" in str(await problem(world))
    await Sealer()(world.services)
    assert published_size(world) == before
    assert any("are gone" in line for line in await said(world))


async def test_events_that_were_seen_waiting_and_are_sealed_meanwhile_are_no_loss(world: World) -> None:
    for _ in range(3):
        await world.flow()
        await raise_marks(world.services)
        await Sealer()(world.services)
        assert await problem(world) is None


async def test_a_key_that_somebody_put_into_the_database_is_not_believed(world: World) -> None:
    services, org_id = world.services, world.tenant.org_id
    stranger = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))

    async def sign(tx: Transaction, _: World) -> None:
        stored = await newest_checkpoint(tx, org_id)
        assert stored is not None
        found = stored.signed.checkpoint
        forged = Checkpoint(org_id, found.size, found.root, found.chain_hash)
        await tx.execute(
            "INSERT INTO signing_keys (key_id, public_key, created_at, is_current) VALUES ($1, $2, now(), false)",
            *(stranger.key_id, stranger.public_key),
        )
        update = "UPDATE checkpoints SET key_id = $2, signature = $3 WHERE org_id = $1"
        await tx.execute(update, org_id, stranger.key_id, stranger.sign(forged.body()))

    await tampered(world, sign)
    assert any("is not trusted here" in line for line in await said(world))
    file = services.settings.keys_dir / "trusted.keys"
    file.write_bytes(base64.b64encode(stranger.public_key))
    assert stranger.key_id in load_trusted_keys(services.settings), "but whoever owns the disk may add it"


@pytest.mark.parametrize(
    ("table", "where", "change"),
    [
        ("audit_events", "record_kind = 'flow' AND record_version = 1", "actor_id = gen_random_uuid()"),
        ("audit_events", "record_kind = 'flow' AND record_version = 1", "occurred_at = occurred_at - interval '1 day'"),
        ("audit_events", "record_kind = 'flow' AND record_version = 1", "payload = '{}'"),
        ("audit_events", "record_kind = 'flow' AND record_version = 1", "record_version = 2"),
        ("audit_events", "record_kind = 'flow' AND record_version = 1", "record_hash = sha256('x')"),
        ("audit_events", "record_kind = 'flow' AND record_version = 1", "record_hash = NULL"),
        ("flow_versions", "version = 1", "required_types = '[]'"),
        ("flow_versions", "version = 2", "name = 'another'"),
        ("flows", "true", "name = 'another'"),
        ("flows", "true", "version = 1"),
    ],
)
async def test_what_a_newer_version_replaced_is_still_proven(
    own_services: Services, table: str, where: str, change: str
) -> None:
    world = await World.founded(own_services)
    flow = await world.flow("BUILD")
    async with own_services.database.transaction() as tx:
        await update_flow(tx, world.tenant, flow.id, {"required_types": ["BUILD", "TEST"]}, world.actor)
    await Sealer()(own_services)
    assert await said(world) == []

    async def alter(tx: Transaction, world: World) -> None:
        sql = f"UPDATE {table} SET {change} WHERE org_id = $1 AND {where}"
        assert await tx.execute(sql, world.tenant.org_id) == 1

    await tampered(world, alter)
    assert await said(world)


async def test_a_row_under_the_id_of_another_kind_of_record_is_a_stray(world: World) -> None:
    """A key with an administrator's rights, under an id that the audit knows."""

    async def slip_in(tx: Transaction, world: World) -> None:
        attestation = await tx.value("SELECT id FROM attestations WHERE org_id = $1", world.tenant.org_id)
        owner = await tx.value("SELECT principal_id FROM memberships WHERE org_id = $1 LIMIT 1", world.tenant.org_id)
        await tx.execute(
            "INSERT INTO api_keys (id, org_id, principal_id, name, sha256, prefix, version, created_at) "
            "VALUES ($1, $2, $3, 'mine', sha256('mine'), 'tg_mine', 1, now())",
            *(attestation, world.tenant.org_id, owner),
        )

    await tampered(world, slip_in)
    assert any(line.startswith("api_keys ") for line in await said(world))


async def test_times_of_the_chain_are_those_that_were_signed(world: World) -> None:
    """Moved, with every hash of the chain computed anew."""

    async def move(tx: Transaction, world: World) -> None:
        org_id = world.tenant.org_id
        rows = await tx.rows(
            "SELECT event_id, leaf, sealed_at FROM ledger_entries WHERE org_id = $1 ORDER BY seq", org_id
        )
        events = [(row["event_id"], row["leaf"]) for row in rows]
        for entry in extend(0, bytes(32), events, rows[0]["sealed_at"] - timedelta(days=1)):
            await tx.execute(
                "UPDATE ledger_entries SET previous_hash = $3, entry_hash = $4, sealed_at = $5 "
                "WHERE org_id = $1 AND seq = $2",
                *(org_id, entry.seq, entry.previous_hash, entry.entry_hash, entry.sealed_at),
            )

    await tampered(world, move)
    assert any("the ledger was rewritten" in line for line in await said(world))
