"""`trailgate verify`: sound is 0, a finding is 1 and named, not being able to look is 2."""

import asyncio
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from cli.installation import ROOT
from domain.audit.events import Actor
from domain.facts.evidence import NewEvidence
from domain.identity.organisations import NewOrganisation
from storage.facts.commands.evidence import attach_file
from storage.identity.commands.organisations import create_organisation, delete_organisation
from storage.ledger.marks import mark_file
from storage.ledger.published import checkpoint_file
from storage.services import Services
from tests.storage.world import World
from workers.seal import Sealer

RECORDS_OF_THE_WORLD = ("attestations", "trails", "flow_versions", "flows", "memberships")


@pytest.fixture
def sealed(started: None, arrange) -> dict[str, str]:
    """An organisation with an attestation, sealed and published; its names."""

    async def fill(services: Services) -> dict[str, str]:
        world = await World.founded(services)
        trail = await world.trail(await world.flow())
        [attestation] = await world.attest(world.attestation(trail.id, "BUILD"))
        await Sealer()(services)
        file = checkpoint_file(services.settings.checkpoints, world.tenant.org_id)
        return {
            "slug": world.tenant.org_slug,
            "org": str(world.tenant.org_id),
            "attestation": str(attestation.id),
            "file": str(file),
            "mark": str(mark_file(services.settings, world.tenant.org_id)),
        }

    return arrange(fill)


@pytest.fixture
def tamper(arrange) -> Callable[..., None]:
    def tamper(sql: str, *args: object) -> None:
        async def change(services: Services) -> None:
            async with services.database.transaction() as tx:
                await tx.execute("SET LOCAL trailgate.retention = 'on'")
                assert await tx.execute(sql, *args) > 0

        arrange(change)

    return tamper


def test_a_sound_ledger_is_status_0_and_told_in_one_line_an_organisation(sealed, trailgate) -> None:
    seen = trailgate("verify")
    assert seen.status == 0
    lines = sorted(seen.out.splitlines())
    assert [line.partition(":")[0] for line in lines] == ["default", sealed["slug"]]
    assert all(": sound (" in line for line in lines)
    assert trailgate("verify", "--organisation", sealed["slug"]).out.splitlines() == [lines[1]]
    assert trailgate("verify", "--organisation", sealed["org"]).status == 0


def test_a_changed_row_is_named_and_status_1(sealed, trailgate, tamper) -> None:
    tamper("UPDATE attestations SET details = 'all is well' WHERE id = $1", UUID(sealed["attestation"]))
    seen = trailgate("verify")
    assert seen.status == 1
    assert f"ALTERED attestations {sealed['attestation']}: " in seen.out
    assert "default: sound" in seen.out
    assert f"{sealed['slug']}: 1 finding (" in seen.out
    assert trailgate("verify", "--organisation", "default").status == 0


def test_a_lost_row_and_a_lost_organisation_are_missing(sealed, trailgate, tamper) -> None:
    tamper("DELETE FROM organisations WHERE id = $1", UUID(sealed["org"]))
    seen = trailgate("verify")
    assert seen.status == 1
    assert f"MISSING organisations {sealed['org']}" in seen.out


def test_a_published_copy_confirms_the_ledger(sealed, trailgate) -> None:
    for words in ([], ["--organisation", sealed["slug"]]):
        seen = trailgate("verify", "--against", sealed["file"], *words)
        assert seen.status == 0
        assert "1 published checkpoint)" in seen.out


def test_a_ledger_that_was_cut_back_does_not_fit_what_was_published(sealed, trailgate, tamper) -> None:
    """Who owns the database and the key can make a shorter ledger that is sound in itself."""
    org = UUID(sealed["org"])
    for table in ("checkpoints", "ledger_entries", "ledger_tiles", "ledger_heads", "audit_events"):
        tamper(f"DELETE FROM {table} WHERE org_id = $1", org)
    for table in RECORDS_OF_THE_WORLD:
        tamper(f"DELETE FROM {table} WHERE org_id = $1", org)
    for words in ([], ["--against", sealed["file"]]):
        seen = trailgate("verify", *words)
        assert seen.status == 1
        assert "the ledger was rewritten" in seen.out


def test_the_ledger_of_a_deleted_organisation_is_still_verified(started: None, arrange, trailgate) -> None:
    async def come_and_go(services: Services, slug: str = f"gone-{uuid4().hex[:8]}") -> tuple[str, UUID]:
        founder = Actor(UUID(int=0))
        async with services.database.transaction() as tx:
            tenant = (await create_organisation(tx, NewOrganisation(slug, "Gone"), founder)).tenant
        await Sealer()(services)
        async with services.database.transaction() as tx:
            await delete_organisation(tx, tenant, founder)
        await Sealer()(services)
        return slug, tenant.org_id

    slug, org_id = arrange(come_and_go)
    for words in ([], ["--organisation", slug], ["--organisation", org_id]):
        seen = trailgate("verify", *words)
        assert (seen.status, f"{slug}: sound (2 entries" in seen.out) == (0, True), seen
    told = trailgate("doctor").out
    assert "was published or seen here, but there is none" not in told
    assert slug not in trailgate("organisations", "list").out
    _, another_id = arrange(come_and_go)
    ambiguous = trailgate("verify", "--organisation", slug)
    assert (ambiguous.status, str(another_id) in ambiguous.err) == (2, True)
    assert trailgate("verify", "--organisation", another_id).status == 0


def test_the_ledger_of_an_organisation_that_vanished_whole_is_missing(
    sealed, trailgate, tamper, tmp_path: Path
) -> None:
    tamper("DELETE FROM ledger_entries WHERE org_id = $1", UUID(sealed["org"]))
    tamper("DELETE FROM organisations WHERE id = $1", UUID(sealed["org"]))
    copy = Path(sealed["file"]).rename(tmp_path / "copy")
    Path(sealed["mark"]).unlink()
    assert "MISSING organisations" not in trailgate("verify").out, "nothing here tells of it"
    seen = trailgate("verify", "--against", copy)
    assert seen.status == 1
    assert f"MISSING organisations {sealed['org']}: " in seen.out


def test_one_that_vanished_before_its_first_checkpoint_is_missing(started: None, arrange, trailgate) -> None:
    """Only the high-water mark tells of it."""

    async def vanish(services: Services) -> str:
        world = await World.founded(services)
        await Sealer().seal_round(services)
        async with services.database.transaction() as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")
            await tx.execute("DELETE FROM ledger_entries WHERE org_id = $1", world.tenant.org_id)
            await tx.execute("DELETE FROM organisations WHERE id = $1", world.tenant.org_id)
        return str(world.tenant.org_id)

    org_id = arrange(vanish)
    seen = trailgate("verify")
    assert seen.status == 1
    assert f"MISSING organisations {org_id}: " in seen.out
    assert org_id in trailgate("doctor").out


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe--\n", b"a\n--\nb\n--\n", b"--\n" * 3])
def test_a_file_that_is_no_published_copy_is_status_2(started: None, trailgate, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "copy"
    file.write_bytes(content)
    seen = trailgate("verify", "--against", file)
    assert (seen.status, seen.out) == (2, "")
    assert len(seen.err.splitlines()) == 1


def test_a_copy_that_says_nothing_of_the_organisation_asked_for_is_no_confirmation(sealed, trailgate) -> None:
    seen = trailgate("verify", "--organisation", "default", "--against", sealed["file"])
    assert (seen.status, seen.out) == (2, "")


def test_a_missing_file_an_unknown_organisation_and_a_dead_database_are_status_2(
    started: None, trailgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(tmp_path / "no") in trailgate("verify", "--against", tmp_path / "no").err
    assert "no organisation 'acme'" in trailgate("verify", "--organisation", "acme").err
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", f"postgresql://postgres@/x?host={tmp_path}")
    dead = trailgate("verify")
    assert (dead.status, dead.out) == (2, "")
    assert "cannot be reached" in dead.err
    assert "TRAILGATE_DATABASE_URL" in dead.err


def test_what_is_written_while_it_looks_is_no_finding(sealed, arrange) -> None:
    """The snapshot: facts and seals that come meanwhile are not half seen."""

    async def busy(services: Services) -> int | None:
        world = await World.founded(services)
        trail = await world.trail(await world.flow())
        looking = await asyncio.create_subprocess_exec(sys.executable, "-m", "cli", "verify", cwd=ROOT)
        while looking.returncode is None:
            await world.attest(world.attestation(trail.id, "BUILD"))
            await Sealer()(services)
        return looking.returncode

    assert arrange(busy) == 0


def test_derived_rows_are_compared_with_the_facts_when_asked(sealed, trailgate, tamper) -> None:
    tamper("UPDATE trails SET status = 'NON_COMPLIANT' WHERE org_id = $1", UUID(sealed["org"]))
    assert trailgate("verify").status == 0
    seen = trailgate("verify", "--deep", "--organisation", sealed["slug"])
    assert seen.status == 1
    assert f"ALTERED {sealed['slug']}: 1 latest-results differ" in seen.out
    assert trailgate("verify", "--deep", "--organisation", sealed["slug"]).status == 1, "nothing was repaired"
    trailgate("rebuild", "latest-results")
    assert trailgate("verify", "--deep", "--organisation", sealed["slug"]).status == 0


def test_evidence_files_are_hashed_again_when_asked(started: None, arrange, trailgate) -> None:
    content = b"the report"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    async def attach(services: Services) -> tuple[str, Path]:
        world = await World.founded(services)
        trail = await world.trail(await world.flow())
        [attestation] = await world.attest(world.attestation(trail.id, "BUILD"))
        staged = services.blobs.staging / "one"
        staged.write_bytes(content)
        new = NewEvidence(trail.id, attestation.id, digest, "report.txt", len(content), "text/plain", world.actor)
        async with services.database.transaction() as tx:
            await attach_file(tx, world.tenant, new, staged, services.blobs, most=5)
        await Sealer()(services)
        return world.tenant.org_slug, services.blobs.path(digest)

    slug, path = arrange(attach)
    sound = trailgate("verify", "--files", "--organisation", slug)
    assert (sound.status, f"{slug}: 1 evidence file hashed" in sound.out) == (0, True)
    path.chmod(0o600)
    path.write_bytes(b"another")
    assert f"ALTERED evidence file {digest}" in trailgate("verify", "--files").out
    path.unlink()
    missing = trailgate("verify", "--files")
    assert (missing.status, f"MISSING evidence file {digest}" in missing.out) == (1, True)
