"""Evidence below the wire: one row, one event, one total, and nothing of it in another organisation."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from domain.errors import Conflict, NotFound
from domain.facts.attestations import Attestation
from domain.facts.evidence import Evidence, NewEvidence
from storage.blobs.store import Rehearsal
from storage.counters import total
from storage.facts.commands.evidence import attach_file, attach_reference, note_access
from storage.facts.queries import evidence as queries
from storage.facts.queries.attestations import get_attestation
from storage.facts.rebuild import COUNTS
from storage.paging import Window
from storage.rebuild import CORE_COUNTS, rebuild_counters
from storage.services import Services
from tests.storage.sealing import inspected, seal_waiting, sign
from tests.storage.world import World

MOST = 5


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def attested(world: World) -> Attestation:
    trail = await world.trail(await world.flow())
    [attestation] = await world.attest(world.attestation(trail.id, "archive"))
    return attestation


def brought(world: World, attestation: Attestation, content: bytes = b"a") -> tuple[NewEvidence, Path]:
    staged = world.services.blobs.staging / f"upload-{uuid4().hex}"
    staged.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return NewEvidence(
        attestation.trail_id, attestation.id, digest, "x", len(content), "text/plain", world.actor
    ), staged


async def attach(world: World, attestation: Attestation, content: bytes = b"a") -> Evidence:
    new, staged = brought(world, attestation, content)
    async with world.services.database.transaction() as tx:
        return await attach_file(tx, world.tenant, new, staged, world.services.blobs, most=MOST)


async def files(world: World, attestation: Attestation) -> list[Evidence]:
    async with world.services.database.read() as reader:
        page = await queries.list_trail_evidence(reader, world.tenant, attestation.trail_id, Window(50))
    assert page.total == len(page.items)
    return page.items


async def test_evidence_reads_as_it_was_attached(world: World) -> None:
    attestation = await attested(world)
    made = [await attach(world, attestation, content) for content in (b"1", b"2")]
    assert await files(world, attestation) == made
    async with world.services.database.read() as reader:
        assert await queries.get_evidence(reader, world.tenant, made[0].id) == made[0]
        assert await queries.find_by_digest(reader, world.tenant, made[1].digest) == made[1]
        shown = await get_attestation(reader, world.tenant, attestation.trail_id, attestation.id)
        target = await queries.find_target(reader, world.tenant, attestation.id)
        page = await queries.list_attestation_evidence(reader, world.tenant, target, Window(1))
    assert shown.evidence is not None
    assert shown.evidence.digest == made[1].digest
    assert (page.items, page.total, page.next is not None) == (made[:1], 2, True)


async def test_the_total_is_what_a_recount_finds(world: World) -> None:
    attestation = await attested(world)
    for _ in range(3):
        await attach(world, attestation)
    database = world.services.database
    progress = [step async for step in rebuild_counters(database, world.tenant, (*CORE_COUNTS, *COUNTS))]
    assert progress[-1].mended == 0
    async with database.read() as reader:
        assert await total(reader, world.tenant, "evidence", attestation.trail_id) == 3


async def test_uploads_and_accesses_are_sealed_and_verify(world: World) -> None:
    attestation, services = await attested(world), world.services
    evidence = await attach(world, attestation)
    async with services.database.transaction() as tx:
        await note_access(tx, world.tenant, evidence, world.actor, part=None)
        await note_access(tx, world.tenant, evidence, world.actor, part="bytes 0-0/1")
    async with services.database.transaction() as tx:
        await seal_waiting(services, tx, world.tenant.org_id)
        await sign(services, tx, world.tenant.org_id)
    async with services.database.snapshot() as reader:
        findings = (await inspected(services, reader, world.tenant.org_id)).findings
        names = await reader.rows(
            "SELECT name FROM audit_events WHERE record_id = $1 AND digest = $2 ORDER BY id",
            *(evidence.id, evidence.digest),
        )
    assert findings == []
    assert [row["name"] for row in names] == ["evidence.uploaded", "evidence.accessed", "evidence.accessed"]


async def test_a_row_that_was_changed_is_found(world: World) -> None:
    evidence, services = await attach(world, await attested(world)), world.services
    async with services.database.transaction() as tx:
        await seal_waiting(services, tx, world.tenant.org_id)
        await sign(services, tx, world.tenant.org_id)
        await tx.execute("SET LOCAL trailgate.retention = 'on'")
        assert await tx.execute("UPDATE evidence SET name = 'other' WHERE id = $1", evidence.id) == 1
    async with services.database.snapshot() as reader:
        findings = (await inspected(services, reader, world.tenant.org_id)).findings
    assert [str(evidence.id) in finding.where for finding in findings] == [True]


async def test_refusals_leave_the_staged_file_where_it_was(world: World) -> None:
    attestation, other = await attested(world), await attested(world)
    for _ in range(MOST):
        await attach(world, attestation)
    new, staged = brought(world, attestation, b"one too many")
    crossed = replace(brought(world, other)[0], trail_id=attestation.trail_id)
    lost = replace(new, trail_id=uuid4())
    stranger = await World.founded(world.services)
    for tenant, refused, error in (
        (world.tenant, new, Conflict),
        (world.tenant, crossed, NotFound),
        (world.tenant, lost, NotFound),
        (stranger.tenant, new, NotFound),
    ):
        with pytest.raises(error):
            await _attach(world, tenant, refused, staged)
        assert staged.exists()
        assert not world.services.blobs.path(refused.digest).exists() or refused.digest == crossed.digest
    assert len(await files(world, attestation)) == MOST
    assert await files(world, other) == []


async def _attach(world: World, tenant: object, new: NewEvidence, staged: Path) -> None:
    async with world.services.database.transaction() as tx:
        await attach_file(tx, tenant, new, staged, world.services.blobs, most=MOST)  # type: ignore[arg-type]


async def test_a_rehearsal_leaves_neither_row_nor_object(world: World) -> None:
    attestation = await attested(world)
    new, staged = brought(world, attestation)
    async with world.services.database.transaction(dry_run=True) as tx:
        await attach_file(tx, world.tenant, new, staged, Rehearsal(), most=MOST)
    assert await files(world, attestation) == []
    assert (staged.exists(), world.services.blobs.path(new.digest).exists()) == (True, False)
    async with world.services.database.read() as reader:
        assert await reader.value("SELECT count(*) FROM blobs") == 0


async def test_a_reference_has_no_content_here(world: World) -> None:
    attestation = await attested(world)
    new = replace(brought(world, attestation)[0], external_url="https://elsewhere.example.com/x")
    async with world.services.database.transaction() as tx:
        made = await attach_reference(tx, world.tenant, new, most=MOST)
    async with world.services.database.read() as reader:
        assert await queries.find_by_digest(reader, world.tenant, new.digest) == made
        assert await reader.value("SELECT count(*) FROM blobs") == 0
    kept = await attach(world, attestation)
    async with world.services.database.read() as reader:
        assert await queries.find_by_digest(reader, world.tenant, new.digest) == kept


async def test_one_content_is_shared_between_organisations_and_the_right_to_it_is_not(world: World) -> None:
    stranger = await World.founded(world.services)
    own, foreign = await attach(world, await attested(world)), await attach(stranger, await attested(stranger))
    assert own.digest == foreign.digest
    async with world.services.database.read() as reader:
        assert await reader.value("SELECT count(*) FROM blobs") == 1
        assert await queries.find_by_digest(reader, world.tenant, own.digest) == own
        assert await queries.find_by_digest(reader, stranger.tenant, own.digest) == foreign
        with pytest.raises(NotFound):
            await queries.get_evidence(reader, stranger.tenant, own.id)
        with pytest.raises(NotFound):
            await queries.find_target(reader, stranger.tenant, own.attestation_id)


async def test_uploads_to_one_trail_and_of_one_content_do_not_stand_in_each_others_way(world: World) -> None:
    """Trail locks before digest locks, in every transaction: sixteen at once end, and all are there."""
    several = [await attested(world) for _ in range(4)]
    await asyncio.gather(*(attach(world, one, b"%d" % (n % 2)) for n in range(4) for one in several))
    assert sum([len(await files(world, one)) for one in several]) == 16
