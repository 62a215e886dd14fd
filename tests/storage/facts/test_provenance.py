"""What recorded provenance, its checks and its keys leave behind: rows, events, seals; and what races leave of them."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import Conflict, NotFound
from domain.facts.artifacts import NewArtifact, ProvenanceStatus
from domain.facts.provenance import (
    MAX_KEYS,
    Build,
    BuilderType,
    CheckStatus,
    KeyAlgorithm,
    NewProvenanceKey,
    Provenance,
    ProvenanceClaim,
    ProvenanceFinding,
    ProvenanceKey,
    SlsaLevel,
)
from domain.facts.trails import Trail
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.commands.provenance import NewProvenance, record_check, record_provenance
from storage.facts.commands.provenance_keys import create_provenance_key, delete_provenance_key
from storage.facts.queries.artifacts import list_artifacts
from storage.facts.queries.provenance import (
    Subject,
    find_provenance,
    get_provenance,
    get_provenance_of_digest,
    get_subject,
)
from storage.facts.queries.provenance_keys import active_keys, get_provenance_key, list_provenance_keys
from storage.ledger.verification import VerificationOutcome, verify_record
from storage.paging import Window
from storage.registry import RECORDS
from storage.services import Services
from tests.storage.world import World
from workers.seal import Sealer

DIGEST = "sha256:" + "c" * 64
BAD = ProvenanceFinding(CheckStatus.UNVERIFIED, "no")
CLAIM = ProvenanceClaim(
    DIGEST, Build("builder", source_commit_sha="abc"), BuilderType.JENKINS, SlsaLevel.L2, "sig", '{"a": 1}'
)


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


async def report(world: World, trail: Trail, **fields: Any) -> Subject:
    new = NewArtifact(trail.id, **{"name": "app", "tag": uuid4().hex, "digest": DIGEST, "actor": world.actor, **fields})
    async with world.services.database.transaction() as tx:
        [made] = await record_artifacts(tx, world.tenant, [new])
    return Subject(made.id, trail.id, made.digest)


async def new_subject(world: World, **fields: Any) -> Subject:
    return await report(world, await world.trail(await world.flow()), **fields)


async def record(
    world: World, subject: Subject, finding: ProvenanceFinding = BAD, claim: ProvenanceClaim = CLAIM
) -> Provenance:
    async with world.services.database.transaction() as tx:
        return await record_provenance(tx, world.tenant, NewProvenance(subject, claim, finding), world.actor)


async def recheck(world: World, subject: Subject, finding: ProvenanceFinding) -> tuple[Provenance, bool]:
    async with world.services.database.transaction() as tx:
        return await record_check(tx, world.tenant, subject, finding, world.actor)


async def register(world: World, **fields: str) -> ProvenanceKey:
    values = {"name": f"key {uuid4()}", "key_id": uuid4().hex, "public_key": "pem", **fields}
    async with world.services.database.transaction() as tx:
        new = NewProvenanceKey(algorithm=KeyAlgorithm.ED25519, **values)
        return await create_provenance_key(tx, world.tenant, new, world.actor)


async def withdraw(world: World, key: ProvenanceKey) -> ProvenanceKey:
    async with world.services.database.transaction() as tx:
        return await delete_provenance_key(tx, world.tenant, key.id, world.actor)


async def rows(world: World, sql: str, *args: object) -> list[Any]:
    async with world.services.database.read() as reader:
        return await reader.rows(sql, world.tenant.org_id, *args)


async def events(world: World, kind: str) -> list[tuple[str, UUID, dict[str, Any]]]:
    found = await rows(
        world, "SELECT * FROM audit_events WHERE org_id = $1 AND record_kind = $2 ORDER BY occurred_at, id", kind
    )
    return [(row["name"], row["record_id"], row["payload"]) for row in found]


async def test_provenance_reads_as_it_was_recorded(world: World) -> None:
    subject = await new_subject(world)
    made = await record(world, subject)
    assert (made.claim, made.report_id, made.trail_id) == (CLAIM, subject.report_id, subject.trail_id)
    assert (made.check.n, made.check.status, made.check.reason) == (1, CheckStatus.UNVERIFIED, "no")
    async with world.services.database.read() as reader:
        assert await find_provenance(reader, world.tenant, subject) == made
        assert await get_provenance(reader, world.tenant, subject.trail_id, subject.report_id) == made
        assert await get_provenance_of_digest(reader, world.tenant, DIGEST.upper().replace("SHA256:", "")) == made


async def test_the_lists_of_artifacts_show_the_newest_check(world: World) -> None:
    subject = await new_subject(world)
    key = await register(world)

    async def shown() -> ProvenanceStatus:
        async with world.services.database.read() as reader:
            [artifact] = (await list_artifacts(reader, world.tenant, DIGEST, Window(10))).items
        return artifact.provenance_status

    assert await shown() == ProvenanceStatus.NO_PROVENANCE
    await record(world, subject)
    assert await shown() == ProvenanceStatus.PROVENANCE_UNVERIFIED
    await recheck(world, subject, ProvenanceFinding(CheckStatus.VERIFIED, "good", key, "slsa"))
    assert await shown() == ProvenanceStatus.PROVENANCE_VERIFIED
    await recheck(world, subject, BAD)
    assert await shown() == ProvenanceStatus.PROVENANCE_UNVERIFIED


async def test_each_record_and_each_check_has_one_event(world: World) -> None:
    subject = await new_subject(world)
    key = await register(world)
    made = await record(world, subject)
    await recheck(world, subject, ProvenanceFinding(CheckStatus.VERIFIED, "good", key, "slsa"))
    ids = {"provenanceId": str(made.id), "artifactId": str(subject.report_id), "trailId": str(subject.trail_id)}
    builder = {"builderId": "builder", "builderType": "JENKINS", "slsaLevel": "L2"}
    assert await events(world, "provenance") == [("provenance.recorded", made.id, ids | builder)]
    checks = await rows(world, "SELECT * FROM provenance_checks WHERE org_id = $1 ORDER BY n")
    told = [
        {"check": 1, "status": "PROVENANCE_UNVERIFIED", "reason": "no", "keyId": None},
        {"check": 2, "status": "PROVENANCE_VERIFIED", "reason": "good", "keyId": key.key_id},
    ]
    assert await events(world, "provenance_check") == [
        ("provenance.verified", row["id"], ids | one) for row, one in zip(checks, told, strict=True)
    ]
    assert [(row["key_id"], row["predicate_type"]) for row in checks] == [(None, None), (key.id, "slsa")]
    found = await rows(world, "SELECT DISTINCT trail_id, digest FROM audit_events WHERE org_id = $1 AND digest <> ''")
    assert [tuple(row) for row in found] == [(subject.trail_id, DIGEST)]


async def test_a_check_that_finds_the_same_is_not_added(world: World) -> None:
    subject = await new_subject(world)
    key, other = await register(world), await register(world)
    await record(world, subject)
    good = ProvenanceFinding(CheckStatus.VERIFIED, "good", key, "slsa")
    by_another = ProvenanceFinding(CheckStatus.VERIFIED, "good", other, "slsa")
    outcomes = []
    for finding in (BAD, good, good, by_another, BAD, BAD):
        found, added = await recheck(world, subject, finding)
        outcomes.append((found.check.n, added))
        assert found.check.repeats(finding)
    assert outcomes == [(1, False), (2, True), (2, False), (3, True), (4, True), (4, False)]
    assert len(await events(world, "provenance_check")) == 4


async def test_a_race_to_record_has_one_winner(world: World) -> None:
    subject = await new_subject(world)
    outcomes = await asyncio.gather(*(record(world, subject) for _ in range(6)), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, Conflict)]
    assert len(refused) == 5
    assert {one.kind for one in refused} == {"duplicate"}
    assert len(await events(world, "provenance")) == len(await events(world, "provenance_check")) == 1


async def test_parallel_checks_are_numbered_and_never_repeated(world: World) -> None:
    subject = await new_subject(world)
    await record(world, subject)
    good = ProvenanceFinding(CheckStatus.VERIFIED, "good", await register(world))
    outcomes = await asyncio.gather(*(recheck(world, subject, good) for _ in range(6)))
    assert sorted(added for _, added in outcomes) == [False] * 5 + [True]
    assert [row["n"] for row in await rows(world, "SELECT n FROM provenance_checks WHERE org_id = $1 ORDER BY n")] == [
        1,
        2,
    ]


async def waits(task: asyncio.Task[Any]) -> bool:
    done, _ = await asyncio.wait([task], timeout=0.3)
    return not done


async def test_a_check_waits_for_the_one_before_it(world: World) -> None:
    subject = await new_subject(world)
    await record(world, subject)
    good = ProvenanceFinding(CheckStatus.VERIFIED, "good", await register(world))
    async with world.services.database.transaction() as tx:
        await record_check(tx, world.tenant, subject, good, world.actor)
        second = asyncio.create_task(recheck(world, subject, good))
        assert await waits(second)
    found, added = await second
    assert (found.check.n, added) == (2, False)


async def test_a_registration_waits_for_the_one_before_it(world: World) -> None:
    async with world.services.database.transaction() as tx:
        new = NewProvenanceKey("first", "same", KeyAlgorithm.ED25519, "pem")
        await create_provenance_key(tx, world.tenant, new, world.actor)
        second = asyncio.create_task(register(world, key_id="same"))
        assert await waits(second)
    with pytest.raises(Conflict, match="'first'"):
        await second


async def test_a_key_that_was_withdrawn_meanwhile_verifies_nothing(world: World) -> None:
    """The check is made outside the transaction: what it found must still hold inside."""
    first, second = await new_subject(world), await new_subject(world)
    key = await register(world)
    await record(world, first)
    await withdraw(world, key)
    good = ProvenanceFinding(CheckStatus.VERIFIED, "good", key)
    for attempt in (record(world, second, good), recheck(world, first, good)):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.kind == "race"
    assert len(await events(world, "provenance")) == 1


async def test_a_key_waits_for_who_records_by_it(world: World) -> None:
    subject = await new_subject(world)
    key = await register(world)
    async with world.services.database.transaction() as tx:
        new = NewProvenance(subject, CLAIM, ProvenanceFinding(CheckStatus.VERIFIED, "good", key))
        await record_provenance(tx, world.tenant, new, world.actor)
        withdrawing = asyncio.create_task(withdraw(world, key))
        assert await waits(withdrawing)
    await withdrawing
    async with world.services.database.read() as reader:
        found = await find_provenance(reader, world.tenant, subject)
    assert found is not None
    assert (found.check.key_id, found.check.signer) == (key.id, key.key_id)


async def test_by_digest_the_newest_report_that_has_provenance_counts(world: World) -> None:
    """Not an arbitrary row, and not none because that row has none."""
    trail = await world.trail(await world.flow())
    oldest, middle, newest = [await report(world, trail) for _ in range(3)]
    async with world.services.database.read() as reader:
        with pytest.raises(NotFound, match="No provenance"):
            await get_provenance_of_digest(reader, world.tenant, DIGEST)
        with pytest.raises(NotFound, match="no artifact"):
            await get_provenance_of_digest(reader, world.tenant, "sha256:" + "d" * 64)
        for subject, expected in ((middle, middle), (oldest, middle), (newest, newest)):
            await record(world, subject)
            found = await get_provenance_of_digest(reader, world.tenant, DIGEST)
            assert found.report_id == expected.report_id


async def test_what_is_not_there_is_not_found(world: World, services: Services) -> None:
    subject, elsewhere = await new_subject(world), await new_subject(world)
    stranger = await World.founded(services)
    await record(world, elsewhere)
    async with services.database.read() as reader:
        assert await get_subject(reader, world.tenant, subject.trail_id, subject.report_id) == subject
        for tenant, trail_id, report_id, missing in (
            (world.tenant, uuid4(), subject.report_id, "no trail"),
            (world.tenant, subject.trail_id, uuid4(), "no artifact"),
            (world.tenant, subject.trail_id, elsewhere.report_id, "no artifact"),
            (world.tenant, subject.trail_id, subject.report_id, "No provenance"),
            (stranger.tenant, elsewhere.trail_id, elsewhere.report_id, "no trail"),
        ):
            with pytest.raises(NotFound, match=missing):
                await get_provenance(reader, tenant, trail_id, report_id)
        with pytest.raises(NotFound, match="no artifact"):
            await get_provenance_of_digest(reader, stranger.tenant, DIGEST)
    with pytest.raises(Conflict):
        await recheck(world, subject, BAD)


async def test_keys_are_registered_and_withdrawn(world: World) -> None:
    first, second = await register(world, name="a"), await register(world, name="b")
    async with world.services.database.read() as reader:
        assert await active_keys(reader, world.tenant) == [second, first]
        page = await list_provenance_keys(reader, world.tenant, Window(1))
        assert (page.items, page.total, page.capped) == ([first], 2, False)
        assert await get_provenance_key(reader, world.tenant, first.id) == first
    gone = await withdraw(world, first)
    assert (gone.id, gone.version) == (first.id, 2)
    again = await register(world, name="a", key_id=first.key_id)
    async with world.services.database.read() as reader:
        assert await active_keys(reader, world.tenant) == [again, second]
        with pytest.raises(NotFound):
            await get_provenance_key(reader, world.tenant, first.id)
    with pytest.raises(NotFound):
        await withdraw(world, first)
    told = [(name, record_id) for name, record_id, _ in await events(world, "provenance_key")]
    assert told == [
        ("provenance_key.created", first.id),
        ("provenance_key.created", second.id),
        ("provenance_key.deleted", first.id),
        ("provenance_key.created", again.id),
    ]


async def test_a_name_and_a_key_id_are_registered_once(world: World, services: Services) -> None:
    key = await register(world)
    for taken in ({"name": key.name}, {"key_id": key.key_id}):
        with pytest.raises(Conflict) as refused:
            await register(world, **taken)
        assert refused.value.kind == "duplicate"
    outcomes = await asyncio.gather(*(register(world, key_id="same") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in outcomes) == 3
    stranger = await World.founded(services)
    await register(stranger, name=key.name, key_id=key.key_id)


async def test_an_organisation_has_so_many_keys_and_no_more(world: World) -> None:
    keys = [await register(world) for _ in range(MAX_KEYS)]
    with pytest.raises(Conflict) as refused:
        await register(world)
    assert refused.value.kind == "state"
    await withdraw(world, keys[0])
    await register(world)


async def test_a_key_of_another_organisation_cannot_be_withdrawn(world: World, services: Services) -> None:
    key = await register(world)
    stranger = await World.founded(services)
    with pytest.raises(NotFound):
        await withdraw(stranger, key)


async def test_whoever_changes_it_afterwards_is_found(own_services: Services) -> None:
    world = await World.founded(own_services)
    subject = await new_subject(world)
    key = await register(world)
    made = await record(world, subject, ProvenanceFinding(CheckStatus.VERIFIED, "good", key, "slsa"))
    await Sealer()(own_services)
    [check] = await rows(world, "SELECT id FROM provenance_checks WHERE org_id = $1")

    async def outcome(record_id: UUID) -> VerificationOutcome:
        async with own_services.database.snapshot() as reader:
            return (await verify_record(reader, world.tenant, record_id, RECORDS, world.services.trusted_keys)).outcome

    records = {"provenance": made.id, "provenance_checks": check["id"], "provenance_keys": key.id}
    forgeries = {
        "provenance": ("envelope", json.dumps({"forged": True})),
        "provenance_checks": ("status", "UNVERIFIED"),
        "provenance_keys": ("public_key", "another"),
    }
    for table, (column, value) in forgeries.items():
        assert await outcome(records[table]) == VerificationOutcome.VERIFIED
        async with own_services.database.transaction() as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")
            await tx.execute(f"UPDATE {table} SET {column} = $2 WHERE id = $1", records[table], value)
        assert await outcome(records[table]) == VerificationOutcome.ALTERED
