"""What reports of artifacts leave behind: rows, events, edges, totals, and the trail's status."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import NotFound
from domain.facts.artifacts import ArtifactReport, ArtifactType, NewArtifact, ProvenanceStatus
from domain.facts.requirements import ArtifactSlot, Requirement, RequirementSet, Template
from domain.facts.trails import Trail
from storage.counters import total
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.queries.artifacts import candidates_of, reports_of_keys
from storage.facts.queries.trails import get_trail
from storage.facts.rebuild import COUNTS, rebuild_edges
from storage.rebuild import Progress, rebuild_counters
from storage.services import Services
from tests.storage.sealing import inspected, seal_waiting, sign
from tests.storage.world import World

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


def artifact(world: World, trail: Trail, digest: str = A, name: str = "app", **fields: Any) -> NewArtifact:
    return NewArtifact(trail.id, name, digest, world.actor, **{"tag": "1.0", **fields})


async def report(world: World, *new: NewArtifact) -> list[ArtifactReport]:
    async with world.services.database.transaction() as tx:
        return await record_artifacts(tx, world.tenant, new)


async def rows(world: World, sql: str, *args: object) -> list[Any]:
    async with world.services.database.read() as reader:
        return await reader.rows(sql, world.tenant.org_id, *args)


async def last(steps: AsyncIterator[Progress]) -> Progress:
    return [step async for step in steps][-1]


async def test_a_batch_is_answered_in_its_order_over_several_trails(world: World) -> None:
    flow = await world.flow()
    trails = [await world.trail(flow) for _ in range(3)]
    new = [artifact(world, trail, digest, f"app-{n}") for n, trail in enumerate(reversed(trails)) for digest in (B, A)]
    found = await report(world, *new)
    assert [(one.trail_id, one.digest, one.name) for one in found] == [
        (one.trail_id, one.digest, one.name) for one in new
    ]
    assert {one.flow_id for one in found} == {flow.id}
    known = await rows(world, "SELECT digest FROM artifacts WHERE org_id = $1 ORDER BY digest")
    assert [row["digest"] for row in known] == [A, B]


async def test_a_report_holds_everything(world: World) -> None:
    trail = await world.trail(await world.flow())
    [found] = await report(
        world,
        artifact(
            world,
            trail,
            registry="r.example.org",
            artifact_type=ArtifactType.OCI,
            git_commit="c0ffee",
            build_url="https://ci",
            commit_url="https://git",
            annotations={"a": "ü", "": ""},
            claimed_by="ada",
        ),
    )
    assert (found.tag, found.registry, found.artifact_type) == ("1.0", "r.example.org", "OCI")
    assert (found.git_commit, found.build_url, found.commit_url) == ("c0ffee", "https://ci", "https://git")
    assert (found.annotations, found.reporter, found.slot) == ({"a": "ü", "": ""}, "ada", None)
    assert found.observed_at == found.created_at
    assert found.provenance_status == ProvenanceStatus.NO_PROVENANCE


async def test_a_repeated_report_is_the_first_one_and_leaves_nothing_new(world: World) -> None:
    trail = await world.trail(await world.flow())
    [first] = await report(world, artifact(world, trail, registry="one"))
    before = await content(world)
    again = await report(world, artifact(world, trail, registry="two"), artifact(world, trail))
    assert again == [first, first]
    assert await content(world) == before


async def test_twins_in_a_batch_are_one(world: World) -> None:
    trail = await world.trail(await world.flow())
    found = await report(world, artifact(world, trail, registry="one"), artifact(world, trail, registry="two"))
    assert found[0] == found[1]
    assert found[0].registry == "one"
    assert len(await content(world)) == 1


@pytest.mark.parametrize("other", [{"name": "web"}, {"tag": "1.1"}, {"tag": None}, {"digest": B}])
async def test_another_name_tag_or_digest_is_another_report(world: World, other: dict[str, Any]) -> None:
    trail = await world.trail(await world.flow())
    [first] = await report(world, artifact(world, trail))
    [second] = await report(world, artifact(world, trail, **other))
    [again] = await report(world, artifact(world, trail, **other))
    assert first.id != second.id
    assert again == second


async def content(world: World) -> list[Any]:
    return await rows(
        world,
        "SELECT r.*, (SELECT count(*) FROM audit_events e WHERE e.org_id = r.org_id) AS events, "
        "(SELECT count(*) FROM edges e WHERE e.org_id = r.org_id) AS edges, "
        "(SELECT count(*) FROM counter_deltas d WHERE d.org_id = r.org_id) AS deltas "
        "FROM artifact_reports r WHERE r.org_id = $1 ORDER BY r.id",
    )


async def test_an_unknown_trail_leaves_nothing_of_the_batch(world: World) -> None:
    trail = await world.trail(await world.flow())
    missing = NewArtifact(uuid4(), "app", B, world.actor)
    with pytest.raises(NotFound, match=str(missing.trail_id)):
        await report(world, artifact(world, trail), missing)
    assert await content(world) == []


async def test_another_organisations_trail_is_unknown_and_digests_are_each_ones_own(
    world: World, services: Services
) -> None:
    stranger = await World.founded(services)
    trail = await world.trail(await world.flow())
    with pytest.raises(NotFound):
        await report(stranger, artifact(stranger, trail))
    [theirs] = await report(stranger, artifact(stranger, await stranger.trail(await stranger.flow())))
    [ours] = await report(world, artifact(world, trail))
    assert theirs.digest == ours.digest
    async with services.database.read() as reader:
        assert await reports_of_keys(reader, stranger.tenant, [artifact(world, trail).key]) == []
        assert await candidates_of(reader, stranger.tenant, [trail.id]) == {trail.id: []}


async def test_each_report_has_two_events_of_one_record_and_all_of_it_verifies(own_services: Services) -> None:
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())
    [made, _] = await report(world, artifact(world, trail, annotations={"a": "b"}), artifact(world, trail, B))
    events = await rows(
        world, "SELECT name, trail_id, digest, payload FROM audit_events WHERE org_id = $1 AND record_id = $2", made.id
    )
    assert {event["name"] for event in events} == {"artifact.reported", "artifact.deployed"}
    assert {(event["trail_id"], event["digest"]) for event in events} == {(trail.id, A)}
    assert (
        events[0]["payload"]
        == events[1]["payload"]
        == {
            "artifactId": str(made.id),
            "trailId": str(trail.id),
            "imageName": "app",
            "imageTag": "1.0",
            "sha256Digest": A,
            "registry": None,
        }
    )
    async with own_services.database.transaction() as tx:
        assert await seal_waiting(own_services, tx, world.tenant.org_id) >= 4
        await sign(own_services, tx, world.tenant.org_id)
    async with own_services.database.snapshot() as reader:
        assert (await inspected(own_services, reader, world.tenant.org_id)).findings == []


EDGES = "SELECT to_key, from_id, event_id FROM edges WHERE org_id = $1 AND to_kind = 'digest' ORDER BY to_key, from_id"


async def test_a_digest_leads_to_its_trails_by_the_first_event(world: World) -> None:
    flow = await world.flow()
    one, two = await world.trail(flow), await world.trail(flow)
    await report(world, artifact(world, one), artifact(world, two), artifact(world, two, B))
    edges = await rows(world, EDGES)
    assert [(row["to_key"], row["from_id"]) for row in edges] == [(A, one.id), (A, two.id), (B, two.id)]
    await report(world, artifact(world, one, tag="1.1"), artifact(world, one, name="web"))
    assert await rows(world, EDGES) == edges
    names = await rows(
        world, "SELECT name FROM audit_events WHERE org_id = $1 AND id = ANY($2)", [row["event_id"] for row in edges]
    )
    assert [row["name"] for row in names] == ["artifact.reported"] * 3


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM edges WHERE org_id = $1 AND to_kind = 'digest'",
        "UPDATE edges SET event_id = gen_random_uuid() WHERE org_id = $1 AND to_kind = 'digest'",
        "UPDATE edges SET to_key = to_key || 'x' WHERE org_id = $1 AND to_kind = 'digest'",
    ],
)
async def test_a_rebuild_makes_edges_and_totals_as_they_were(world: World, damage: str) -> None:
    trail = await world.trail(await world.flow())
    await report(world, artifact(world, trail), artifact(world, trail, tag="2"), artifact(world, trail, B))
    before, database = await rows(world, EDGES), world.services.database
    assert await last(rebuild_edges(database, world.tenant)) == Progress(3, 0)
    async with database.transaction() as tx:
        assert await tx.execute(damage, world.tenant.org_id) == 2
        await tx.execute(
            "UPDATE counter_deltas SET d = 7 WHERE org_id = $1 AND kind = 'artifacts'", world.tenant.org_id
        )
    assert (await last(rebuild_edges(database, world.tenant))).mended >= 2
    assert await rows(world, EDGES) == before
    await last(rebuild_counters(database, world.tenant, COUNTS))
    async with database.read() as reader:
        assert await total(reader, world.tenant, "artifacts", trail.id) == 3


async def test_parallel_reports_of_everything_to_everywhere_neither_lock_up_nor_double(world: World) -> None:
    """Batches that share trails and digests in opposite orders: sorted locks, or a deadlock."""
    flow = await world.flow()
    trails = [await world.trail(flow) for _ in range(4)]
    new = [artifact(world, trail, digest) for trail in trails for digest in (A, B, C)]
    batches = [new[:8], new[::-1], new[4:], new[::2], new[1::2][::-1], new]
    async with asyncio.timeout(20):
        found = await asyncio.gather(*(report(world, *batch) for batch in batches))
    ids = {(one.trail_id, one.digest): one.id for answers in found for one in answers}
    assert {one.id for answers in found for one in answers} == set(ids.values())
    assert len(ids) == 12
    assert await last(rebuild_edges(world.services.database, world.tenant)) == Progress(4 + 12, 0)


async def test_other_trails_with_the_same_digest_at_once(world: World) -> None:
    flow = await world.flow()
    trails = [await world.trail(flow) for _ in range(8)]
    async with asyncio.timeout(20):
        found = await asyncio.gather(*(report(world, artifact(world, trail)) for trail in trails))
    assert len({answer[0].id for answer in found}) == 8
    assert len(await rows(world, "SELECT id FROM artifacts WHERE org_id = $1")) == 1


async def status(world: World, trail_id: UUID) -> str:
    async with world.services.database.read() as reader:
        return (await get_trail(reader, world.tenant, trail_id)).status


async def test_a_template_that_names_an_artifact_waits_for_it(world: World) -> None:
    requirements = RequirementSet((), (ArtifactSlot("app", (Requirement("snyk", "scan"),)),))
    trail = await world.trail(await world.flow(template=Template("", requirements)))
    await world.attest(world.attestation(trail.id, "snyk", name="scan", slot="app"))
    assert await status(world, trail.id) == "PENDING"
    await report(world, artifact(world, trail, name="web"))
    assert await status(world, trail.id) == "PENDING"
    await report(world, artifact(world, trail))
    assert await status(world, trail.id) == "COMPLIANT"
    await world.attest(world.attestation(trail.id, "snyk", "FAILED", name="scan", digest=A))
    assert await status(world, trail.id) == "NON_COMPLIANT"


async def test_a_name_of_the_reporter_is_shown_where_nobody_is_claimed(world: World) -> None:
    trail = await world.trail(await world.flow())
    [found] = await report(world, artifact(world, trail))
    [row] = await rows(
        world, "SELECT username FROM principals WHERE $1::uuid IS NOT NULL AND id = $2", world.actor.principal_id
    )
    assert found.reporter == row["username"]


PROVENANCE = """
INSERT INTO provenance (id, org_id, report_id, trail_id, digest, builder_id, builder_type, slsa_level, recorded_by,
                        created_at)
SELECT $2, r.org_id, r.id, r.trail_id, r.digest, 'b', 'GENERIC', 'L0', r.reported_by, now()
FROM artifact_reports r WHERE r.id = $1
"""
CHECK = """
INSERT INTO provenance_checks (id, org_id, provenance_id, n, status, reason, checked_by, created_at)
VALUES (gen_random_uuid(), $1, $2, $3, $4, '', $1, now())
"""


async def test_the_newest_check_decides_what_is_shown_of_provenance(world: World) -> None:
    trail = await world.trail(await world.flow())
    [made] = await report(world, artifact(world, trail))
    provenance_id = uuid4()

    async def shown() -> str:
        [again] = await report(world, artifact(world, trail))
        return again.provenance_status

    async with world.services.database.transaction() as tx:
        await tx.execute(PROVENANCE, made.id, provenance_id)
    assert await shown() == "PROVENANCE_UNVERIFIED"
    for n, (checked, expected) in enumerate(
        [
            ("UNVERIFIED", "PROVENANCE_UNVERIFIED"),
            ("VERIFIED", "PROVENANCE_VERIFIED"),
            ("UNVERIFIED", "PROVENANCE_UNVERIFIED"),
        ]
    ):
        async with world.services.database.transaction() as tx:
            await tx.execute(CHECK, world.tenant.org_id, provenance_id, n + 1, checked)
        assert await shown() == expected
