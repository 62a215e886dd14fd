"""`trailgate secrets`: keys are rotated while nothing serves, and everything stays readable and provable."""

import asyncio
import base64
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.notifications.rules import CONFIG_PURPOSE
from storage.identity.bootstrap import bootstrap
from storage.inbox.queries import load
from storage.keys import UnusableKey
from storage.secrets.commands import keep_secret
from storage.secrets.queries import open_secrets, readable_secrets
from storage.services import Services
from tests.failures.backlog import accept_builds, make_target
from tests.journeys.senders import commit_of
from tests.storage.world import World
from workers.seal import Sealer


@pytest.fixture
def secret(started: None, arrange) -> UUID:
    """A secret, and a ledger with an event that still waits."""

    async def keep(services: Services) -> UUID:
        world = await World.founded(services)
        await Sealer()(services)
        await world.flow()
        async with services.database.transaction() as tx:
            return await keep_secret(tx, world.tenant, services.envelope, "hush", CONFIG_PURPOSE)

    return arrange(keep)


def test_after_a_rotation_of_the_master_key_all_is_readable_and_sealing_goes_on(
    secret: UUID, trailgate, arrange, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "keys" / "master.key"
    old = file.read_text()
    done = trailgate("secrets", "rotate")
    assert (done.status, "1 secret now encrypted with master key" in done.out) == (0, True), done
    assert file.read_text() != old
    assert len(file.read_text().splitlines()) == 1
    assert file.stat().st_mode & 0o777 == 0o600

    async def read(services: Services) -> str:
        async with services.database.read() as reader:
            opened = await open_secrets(reader, services.envelope, [secret], CONFIG_PURPOSE)
        await Sealer()(services)
        return opened[secret]

    assert arrange(read) == "hush"
    assert trailgate("verify").status == 0
    file.write_text(old)
    with pytest.raises(UnusableKey, match="but the database was written with"):
        arrange(read)


def test_after_a_rotation_of_the_master_key_what_waits_for_the_worker_is_still_ours(
    started: None, trailgate, arrange, tmp_path: Path
) -> None:
    async def accept(services: Services) -> list[UUID]:
        target = await make_target(services)
        receipts = await accept_builds(services, target, [commit_of("rotated", n) for n in range(3)])
        async with services.database.transaction() as tx:
            await tx.execute("UPDATE inbox_bodies SET mac = '' WHERE id = $1", receipts[2])
        return receipts

    receipts = arrange(accept)
    assert trailgate("secrets", "rotate").status == 0

    async def authentic(services: Services) -> set[UUID]:
        async with services.database.read() as reader:
            loaded = await load(reader, services.database.authenticator, receipts)
        return {delivery.id for delivery in loaded if delivery.authentic}

    assert arrange(authentic) == set(receipts[:2]), "a code of somebody else's is not renewed"


def test_a_rotation_that_was_interrupted_is_finished_by_the_next_one(secret: UUID, trailgate, tmp_path: Path) -> None:
    file = tmp_path / "data" / "keys" / "master.key"
    new = base64.b64encode(os.urandom(32)).decode()
    file.write_text(f"{new}\n{file.read_text()}")
    assert trailgate("secrets", "rotate").status == 0
    assert file.read_text() == f"{new}\n"


def test_a_key_from_the_environment_is_replaced_by_the_operator(
    secret: UUID, trailgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "data" / "keys" / "master.key"
    old, new = file.read_text().strip(), base64.b64encode(os.urandom(32)).decode()
    file.unlink()
    monkeypatch.setenv("TRAILGATE_MASTER_KEY", f"{new},{old}")
    done = trailgate("secrets", "rotate")
    assert (done.status, "Remove the old key" in done.err) == (0, True), done
    monkeypatch.setenv("TRAILGATE_MASTER_KEY", new)
    assert trailgate("verify").status == 0


def test_nothing_is_rotated_while_something_serves(secret: UUID, trailgate, arrange) -> None:
    async def rotate(services: Services) -> list[Any]:
        async with services.database.transaction() as tx:
            await tx.execute("SET application_name = 'trailgate worker'")
            return [await asyncio.to_thread(trailgate, "secrets", words) for words in ("rotate", "rotate-signing-key")]

    for refused in arrange(rotate):
        assert (refused.status, refused.out) == (2, "")
        assert "stop these first" in refused.err


def test_after_a_rotation_of_the_signing_key_old_checkpoints_hold_and_the_ledger_tells(
    secret: UUID, trailgate, arrange, tmp_path: Path
) -> None:
    done = trailgate("secrets", "rotate-signing-key")
    assert done.status == 0, done

    async def go_on(services: Services) -> list[str]:
        await bootstrap(services.database, None, services.signer, services.envelope)
        await Sealer()(services)
        async with services.database.read() as reader:
            rows = await reader.rows("SELECT org_id FROM audit_events WHERE name = 'signing_key.rotated'")
        return [str(row["org_id"]) for row in rows]

    assert len(arrange(go_on)) == 2, "once in every ledger"
    assert trailgate("verify").status == 0
    (tmp_path / "data" / "keys" / "trusted.keys").unlink()
    seen = trailgate("verify")
    assert (seen.status, "is not trusted here" in seen.out) == (1, True)


@pytest.mark.parametrize("name", ["master", "signing"])
def test_a_lost_key_is_not_replaced(secret: UUID, arrange, tmp_path: Path, name: str) -> None:
    file = tmp_path / "data" / "keys" / f"{name}.key"
    file.unlink()

    async def start(services: Services) -> None:
        raise AssertionError(f"{services} opened without its key")

    with pytest.raises(UnusableKey, match=f"The {name} key is gone"):
        arrange(start)
    assert not file.exists()


@pytest.mark.parametrize("name", ["master", "signing"])
def test_another_key_is_refused(secret: UUID, arrange, tmp_path: Path, name: str) -> None:
    (tmp_path / "data" / "keys" / f"{name}.key").write_bytes(base64.b64encode(os.urandom(32)))

    async def start(services: Services) -> None:
        raise AssertionError(f"{services} opened with another key")

    with pytest.raises(UnusableKey, match=f"The {name} key is .* but the database was written with"):
        arrange(start)


def test_a_lost_master_key_is_replaced_and_the_new_one_can_be_rotated(
    secret: UUID, trailgate, arrange, tmp_path: Path
) -> None:
    (tmp_path / "data" / "keys" / "master.key").unlink()
    done = trailgate("secrets", "replace-lost", "--yes")
    assert (done.status, "rotate\nthe secret of every webhook config" in done.err) == (0, True), done

    async def read(services: Services) -> Any:
        async with services.database.read() as reader:
            return await readable_secrets(reader, services.envelope, [secret], CONFIG_PURPOSE)

    assert arrange(read) == {}
    rotated = trailgate("secrets", "rotate")
    assert (rotated.status, "0 secrets now encrypted" in rotated.out) == (0, True), rotated
    assert trailgate("verify").status == 0


def test_keys_that_are_here_are_not_replaced(secret: UUID, trailgate) -> None:
    refused = trailgate("secrets", "replace-lost", "--yes")
    assert (refused.status, "nothing is lost" in refused.err) == (2, True), refused


def test_another_master_key_is_not_rotated(secret: UUID, trailgate, tmp_path: Path) -> None:
    file = tmp_path / "data" / "keys" / "master.key"
    other = base64.b64encode(os.urandom(32))
    file.write_bytes(other)
    refused = trailgate("secrets", "rotate")
    assert (refused.status, "trailgate secrets replace-lost" in refused.err) == (2, True), refused
    assert file.read_bytes() == other
