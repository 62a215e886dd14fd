"""Out into one file and back in, with everything provable, into an empty place only."""

import asyncio
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from cli.archive import BLOBS, DUMP, MANIFEST, write_archive
from cli.embedded.testing import clone_database, drop_database
from cli.postgres import _without_password, _without_settings
from domain.facts.attestations import Attestation
from domain.facts.evidence import NewEvidence
from storage.blobs.store import BlobStore
from storage.facts.commands.evidence import attach_file
from storage.identity.bootstrap import bootstrap
from storage.ledger.published import checkpoint_file
from storage.services import Services
from tests.storage.world import World
from workers.seal import Sealer


@pytest.fixture
def sealed(started: None, arrange) -> str:
    """An organisation with facts, sealed and published; its id."""

    async def fill(services: Services) -> str:
        world = await World.founded(services)
        trail = await world.trail(await world.flow())
        [attestation] = await world.attest(world.attestation(trail.id, "BUILD", details="größe"))
        await keep_evidence(world, attestation)
        await world.config(await world.flow())
        await Sealer()(services)
        return str(world.tenant.org_id)

    return arrange(fill)


EVIDENCE = b"what stands behind it"
DIGEST = f"sha256:{sha256(EVIDENCE).hexdigest()}"


async def keep_evidence(world: World, attestation: Attestation) -> None:
    blobs = world.services.blobs
    staged = blobs.staging / "upload"
    staged.write_bytes(EVIDENCE)
    new = NewEvidence(attestation.trail_id, attestation.id, DIGEST, "e.txt", len(EVIDENCE), "text/plain", world.actor)
    async with world.services.database.transaction() as tx:
        await attach_file(tx, world.tenant, new, staged, blobs, most=1)


@pytest.fixture
def elsewhere(configured, worker_id: str, tmp_path: Path, monkeypatch) -> Iterator[Callable[[], Path]]:
    """Turn to an empty database and an empty data directory; answers the latter."""
    name = f"restored_{worker_id}"

    def turn() -> Path:
        url = asyncio.run(clone_database(configured.admin_url, "template0", name))
        monkeypatch.setenv("TRAILGATE_DATABASE_URL", url)
        monkeypatch.setenv("TRAILGATE_DATA_DIR", str(tmp_path / "elsewhere"))
        return tmp_path / "elsewhere"

    yield turn
    asyncio.run(drop_database(configured.admin_url, name))


def content_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def rows(url: str) -> dict[str, int]:
    """How many rows each table has."""

    async def count() -> dict[str, int]:
        connection = await asyncpg.connect(url)
        try:
            names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for (name,) in names)
            return {name: number for name, number in await connection.fetch(counts)}  # noqa: C416 - records
        finally:
            await connection.close()

    return asyncio.run(count())


def estimated(url: str, table: str) -> float:
    """How many rows PostgreSQL believes a table to have: -1 before it was analyzed."""

    async def look() -> float:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval("SELECT reltuples FROM pg_class WHERE relname = $1", table)
        finally:
            await connection.close()

    return asyncio.run(look())


def test_a_backup_with_keys_restores_to_the_same_installation(
    sealed: str, trailgate, elsewhere, configured, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar"
    made = trailgate("backup", file, "--with-keys")
    assert (made.status, made.err) == (0, "")
    assert "1 evidence file, published checkpoints of 2 ledgers, 2 keys" in made.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".trailgate-backup-*"))
    with tarfile.open(file) as tar:
        assert f"checkpoints/{sealed}.checkpoints" in tar.getnames()

    new = elsewhere()
    restored = trailgate("restore", file)
    assert restored.status == 0, restored
    assert restored.out.count(": sound (") == 2
    assert restored.out.startswith("The archive is loaded.\n")
    assert restored.out.count("1 published checkpoint)") == 2
    assert estimated(os.environ["TRAILGATE_DATABASE_URL"], "audit_events") > 0, "plans need statistics"
    for key in ("master", "signing"):
        path = new / "keys" / f"{key}.key"
        assert path.read_bytes() == (tmp_path / "data" / "keys" / f"{key}.key").read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
    published = checkpoint_file(tmp_path / "elsewhere-checkpoints", UUID(sealed))
    assert published.read_bytes() == checkpoint_file(tmp_path / "data-checkpoints", UUID(sealed)).read_bytes()
    assert BlobStore(new / "blobs").path(DIGEST).read_bytes() == EVIDENCE
    counts = rows(configured.database_url)
    assert counts["attestations"] == 1
    assert rows(os.environ["TRAILGATE_DATABASE_URL"]) == counts

    again = trailgate("restore", file)
    assert (again.status, again.out) == (2, "")
    assert "not empty" in again.err


def test_an_evidence_file_under_another_ones_name_is_refused(sealed, trailgate, elsewhere, tmp_path: Path) -> None:
    whole, changed = tmp_path / "backup.tar", tmp_path / "changed.tar"
    trailgate("backup", whole, "--with-keys")
    members = {}
    with tarfile.open(whole) as tar:
        for member in tar:
            if member.name != MANIFEST:
                members[member.name] = tmp_path / member.name.replace("/", "-")
                members[member.name].write_bytes(content_of(tar, member))
    [name] = [name for name in members if name.startswith(BLOBS)]
    members[name].write_bytes(b"something else")
    write_archive(changed, members)
    new = elsewhere()
    restored = trailgate("restore", changed)
    assert (restored.status, "has another digest" in restored.err) == (2, True)
    assert not BlobStore(new / "blobs").path(DIGEST).exists()
    assert trailgate("restore", whole).status == 0, "nothing of it stayed"


def test_keys_stay_out_unless_asked_for_and_both_ends_say_so(sealed, trailgate, elsewhere, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    made = trailgate("backup", file)
    assert str(tmp_path / "data" / "keys") in made.err
    with tarfile.open(file) as tar:
        assert not [name for name in tar.getnames() if name.startswith("keys/")]
    new = elsewhere()
    restored = trailgate("restore", file)
    assert restored.status == 0
    assert f"put yours at {new / 'keys' / 'master.key'}" in restored.err
    assert not (new / "keys").exists(), "a restore makes no keys of its own"


def test_keys_from_the_environment_are_not_in_the_archive(sealed, trailgate, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRAILGATE_MASTER_KEY", "A" * 43 + "=")
    (tmp_path / "data" / "keys" / "signing.key").unlink()
    made = trailgate("backup", tmp_path / "b", "--with-keys")
    assert made.status == 0
    assert "TRAILGATE_MASTER_KEY" in made.err
    assert "signing.key: the signing key is not in the archive" in made.err
    assert ", 0 keys" in made.out


def test_another_key_in_the_way_is_neither_overwritten_nor_taken(sealed, trailgate, elsewhere, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    trailgate("backup", file, "--with-keys")
    new = elsewhere()
    (new / "keys").mkdir(parents=True)
    (new / "keys" / "master.key").write_text("mine")
    refused = trailgate("restore", file)
    assert refused.status == 2
    assert "differs from the key in the archive" in refused.err
    assert (new / "keys" / "master.key").read_text() == "mine"
    (new / "keys" / "master.key").unlink()
    assert trailgate("restore", file).status == 0, "nothing was loaded before"


def test_a_ledger_older_than_what_is_published_already_is_a_finding(
    sealed, trailgate, arrange, elsewhere, tmp_path: Path
) -> None:
    """Rolling back is what the published copy is there to show."""

    file = tmp_path / "backup.tar"
    trailgate("backup", file)

    async def go_on(services: Services) -> None:
        another = "another key of the administrator"
        await bootstrap(services.database, another, services.signer, services.envelope)
        await Sealer()(services)

    arrange(go_on)
    new = elsewhere()
    shutil.copytree(tmp_path / "data-checkpoints", new.with_name("elsewhere-checkpoints"))
    restored = trailgate("restore", file)
    assert restored.status == 1
    assert "default: 2 findings (" in restored.out
    assert "the ledger was rewritten" in restored.out


def test_what_is_no_backup_changes_nothing(configured, trailgate, elsewhere, tmp_path: Path) -> None:
    new = elsewhere()
    (tmp_path / "x").write_bytes(b"hello")
    refused = trailgate("restore", tmp_path / "x")
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)
    assert not new.exists()
    assert str(tmp_path / "no") in trailgate("restore", tmp_path / "no").err


def test_a_dump_that_does_not_load_leaves_the_database_empty(started, trailgate, elsewhere, tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(b"no dump" * 1000)
    write_archive(tmp_path / "x", {DUMP: tmp_path / "dump"})
    elsewhere()
    refused = trailgate("restore", tmp_path / "x")
    assert refused.status == 2
    assert "pg_restore failed" in refused.err


def test_a_backup_that_fails_leaves_the_one_before(sealed, trailgate, tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "backup.tar"
    file.write_text("the one before")
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", f"postgresql://postgres@/x?host={tmp_path}")
    refused = trailgate("backup", file)
    assert refused.status == 2
    assert "pg_dump failed" in refused.err
    assert file.read_text() == "the one before"
    assert not list(tmp_path.glob(".trailgate-backup-*"))


def test_a_backup_in_place_of_another_says_so(sealed, trailgate, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    assert "replaced" not in trailgate("backup", file).out
    assert trailgate("backup", file).out.startswith(f"{file}: replaced, ")


def test_a_place_where_no_archive_can_be_is_named(sealed, trailgate, tmp_path: Path) -> None:
    for place, said in (
        (tmp_path / "no" / "x", f"The folder {tmp_path / 'no'} does not exist: create it."),
        (tmp_path, f"{tmp_path} is a folder: name a file in it."),
    ):
        refused = trailgate("backup", place)
        assert (refused.status, refused.out, refused.err) == (2, "", f"trailgate: {said}\n")


def test_a_dead_database_is_refused_before_a_key_is_written(sealed, trailgate, tmp_path: Path, monkeypatch) -> None:
    trailgate("backup", tmp_path / "b", "--with-keys")
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", f"postgresql://postgres@/x?host={tmp_path}")
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(tmp_path / "elsewhere"))
    assert trailgate("restore", tmp_path / "b").status == 2
    assert not (tmp_path / "elsewhere").exists()


def test_postgresqls_programs_get_none_of_our_secrets() -> None:
    variables = {"PATH": "/bin", "PGSSLROOTCERT": "/ca", "TRAILGATE_MASTER_KEY": "a", "TRAILGATE_DATABASE_URL": "b"}
    assert _without_settings(variables) == {"PATH": "/bin", "PGSSLROOTCERT": "/ca"}


@pytest.mark.parametrize(
    ("url", "address", "secret"),
    [
        ("postgresql://u@/d?host=%2Ftmp%2Fa+b&port=5432", "postgresql://u@/d?host=%2Ftmp%2Fa+b&port=5432", None),
        ("postgresql://u:p%40ss@h:5/d", "postgresql://u@h:5/d", "p@ss"),
        ("postgresql://h/d?user=u&password=x%26y", "postgresql://h/d?user=u", "x&y"),
        ("postgresql://u:a:b@h1,h2/d", "postgresql://u@h1,h2/d", "a:b"),
    ],
)
def test_no_password_appears_on_a_command_line(url: str, address: str, secret: str | None) -> None:
    assert _without_password(url) == (address, {"PGPASSWORD": secret} if secret else {})
