"""The examination of a whole installation: all is well, and each failure made for real."""

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from arq.constants import health_check_key_suffix
from redis import Redis

from cli.embedded.servers import EmbeddedServers
from domain.notifications.rules import Channel
from domain.retries import ErrorClass
from storage.identity.bootstrap import bootstrap
from storage.migrations import migrate
from storage.schedule.wakeups import QUEUE
from storage.services import Services, open_services
from storage.settings import Settings
from tests.storage.outbox.letters import post, settled, take
from tests.storage.world import World
from workers.seal import Sealer
from workers.sweeps import sweep

WELL = {
    *("settings", "master key", "signing key", "evidence", "checkpoints", "redis", "postgres", "durability", "clock"),
    *("schema", "partitions", "worker", "inbox", "dead letters", "ledger", "outbox", "dead messages", "destinations"),
    *("ledgers", "signing", "secrets"),
}
LAX = {"durability": "fail"}
"""The servers of the tests do not wait for the disk."""


@pytest.fixture
def worked(started: None, arrange) -> None:
    """An installation on which a worker has been at work a moment ago."""

    async def work(services: Services) -> None:
        await services.redis.flushdb()
        await Sealer()(services)
        await sweep(services)
        await report_health(services)

    arrange(work)


async def report_health(services: Services) -> None:
    """What arq does every ten seconds in a worker; here the test has a minute."""
    await services.redis.psetex(QUEUE + health_check_key_suffix, 60_000, b"j_complete=0")


@pytest.fixture
def examined(trailgate) -> Callable[..., dict[str, dict[str, str]]]:
    """The last finding of each check that is not well, from --json; the exit status must fit."""

    def examined(*words: str) -> dict[str, dict[str, str]]:
        seen = trailgate("doctor", "--json", *words)
        report = json.loads(seen.out)
        failed = any(finding["level"] == "fail" for finding in report["findings"])
        assert (seen.status, report["healthy"]) == (int(failed), not failed)
        bad = [finding for finding in report["findings"] if finding["level"] != "ok"]
        assert all(finding["advice"] for finding in bad)
        return {finding["check"]: finding for finding in bad}

    return examined


@pytest.fixture
def troubles(examined) -> Callable[..., dict[str, str]]:
    """Which checks are not well, by level."""
    return lambda *words: {check: finding["level"] for check, finding in examined(*words).items()}


@pytest.fixture
def sql(arrange) -> Callable[..., Any]:
    def sql(statement: str, *args: object) -> Any:
        async def run(services: Services) -> Any:
            async with services.database.transaction() as tx:
                return await tx.execute(statement, *args)

        return arrange(run)

    return sql


@pytest.fixture
def ruled(worked: None, arrange) -> Callable[..., tuple[UUID, UUID]]:
    """Rule and destination of a channel."""

    def ruled(channel: Channel = Channel.WEBHOOK, **options: Any) -> tuple[UUID, UUID]:
        async def make(services: Services) -> tuple[UUID, UUID]:
            world = await World.founded(services)
            rule = (await world.rule(channel, **options)).rule
            await Sealer()(services)
            return rule.id, rule.destination_id

        return arrange(make)

    return ruled


def sent(destination_id: UUID, failure: ErrorClass, **how: Any) -> Callable[[Services], Any]:
    async def send(services: Services) -> None:
        async with services.database.read() as reader:
            org_id = await reader.value("SELECT org_id FROM destinations WHERE id = $1", destination_id)
        world = await World.founded(services)
        world.tenant = type(world.tenant)(org_id, "theirs")
        await post(world, destination_id, "subject")
        await settled(services, await take(services), failure, **how)
        await Sealer()(services)

    return send


@pytest.fixture
def servers(data_dir: Path) -> Iterator[EmbeddedServers]:
    """Servers as `up` runs them, durable, with an empty database."""
    with EmbeddedServers(data_dir) as servers:
        yield servers


def prepare(servers: EmbeddedServers, data_dir: Path) -> None:
    """What `up` and a worker do."""
    settings = Settings(data_dir=data_dir, database_url=servers.database_url, redis_url=servers.redis_url)

    async def work() -> None:
        await migrate(servers.database_url)
        async with open_services(settings, "test") as services:
            await bootstrap(services.database, None, services.signer, services.envelope)
            await Sealer()(services)
            await sweep(services)
            await report_health(services)

    asyncio.run(work())


def test_a_sound_installation_and_then_one_server_after_the_other_stops(
    servers: EmbeddedServers, data_dir: Path, trailgate, examined
) -> None:
    prepare(servers, data_dir)
    seen = trailgate("doctor")
    lines = seen.out.splitlines()
    assert (seen.status, seen.err) == (0, "")
    assert all(re.fullmatch(r"ok    [a-z ]{13}  [^→]+", line) for line in lines), seen.out
    assert {line[6:19].strip() for line in lines} == WELL
    assert examined() == {}
    postgres, valkey = servers.children
    valkey.stop()
    without_redis = examined()
    assert {check: one["level"] for check, one in without_redis.items()} == {"redis": "fail", "worker": "warn"}
    assert "TRAILGATE_REDIS_URL" in without_redis["redis"]["advice"]
    postgres.stop()
    without_both = examined()
    assert without_both.keys() == {"redis", "postgres"}
    assert without_both["postgres"]["found"].startswith("does not answer: ")
    said = trailgate("doctor")
    assert (said.status, len(said.out.splitlines())) == (1, 7)
    assert re.search(r"^fail  postgres .+ → start it, or correct TRAILGATE_DATABASE_URL$", said.out, re.MULTILINE)


def test_servers_that_do_not_run_are_started_for_the_look(data_dir: Path, trailgate) -> None:
    with EmbeddedServers(data_dir) as servers:
        prepare(servers, data_dir)
    seen = trailgate("doctor")
    assert (seen.status, "starting its servers for this command" in seen.err) == (0, True), seen.out
    [worker] = [line for line in seen.out.splitlines() if line[6:19].strip() == "worker"]
    assert worker.startswith("warn  worker         the installation is stopped, so no worker is running → start it")


def test_a_database_without_tables(servers: EmbeddedServers, trailgate) -> None:
    seen = trailgate("doctor")
    assert seen.status == 1
    [line] = [line for line in seen.out.splitlines() if line.startswith("fail")]
    assert "schema         the database is at revision none" in line
    assert line.endswith("→ run trailgate migrate, then trailgate doctor again")
    assert not [line for line in seen.out.splitlines() if "  inbox " in line]


def test_no_installation_at_all(data_dir: Path, trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(data_dir.with_name("empty")))
    seen = trailgate("doctor")
    assert (seen.status, seen.out.startswith("fail  settings       There is no database in ")) == (1, True)
    assert not data_dir.with_name("empty").exists()


def test_settings_that_cannot_be_read(configured, trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILGATE_DATABASE_POOL", "many")
    seen = trailgate("doctor")
    assert (seen.status, "TRAILGATE_DATABASE_POOL" in seen.out, len(seen.out.splitlines())) == (1, True, 1)


def test_a_deployed_installation(worked, troubles) -> None:
    assert troubles() == LAX


def test_a_table_that_was_changed_by_hand(worked, examined, sql) -> None:
    sql("ALTER TABLE destinations DROP COLUMN told")
    assert "told" in examined()["schema"]["found"]


def test_without_a_worker(started, troubles, arrange) -> None:
    arrange(lambda services: services.redis.flushdb())
    assert troubles() == LAX | {"worker": "fail"}


def test_a_worker_that_has_just_fallen_silent(worked, examined, arrange, sql) -> None:
    """As when it is suspended: its health check expires at once, and minutes later its sweeps are late."""
    arrange(lambda services: services.redis.flushdb())
    sql("UPDATE schedule SET last_run_at = last_run_at - interval '100 seconds'")
    worker = examined()["worker"]
    assert worker["level"] == "warn"
    assert re.fullmatch(r"no worker has reported for 1\d\d seconds; the sweeps are not late yet", worker["found"])
    sql("UPDATE schedule SET last_run_at = last_run_at - interval '100 seconds'")
    worker = examined()["worker"]
    assert (worker["level"], worker["found"]) == ("fail", "no worker is running"), "although daily sweeps are not late"
    assert "trailgate worker" in worker["advice"]


def test_a_database_of_a_newer_version(worked, examined, sql) -> None:
    sql("UPDATE alembic_version SET version_num = '9999'")
    schema = examined()["schema"]
    assert (schema["level"], schema["found"]) == (
        "fail",
        "the database is at revision 9999, which this version does not know: a newer version migrated it",
    )
    assert schema["advice"].startswith("install that version, or use another TRAILGATE_DATA_DIR")


def test_a_sign_of_life_and_sweeps_that_are_late(worked, examined, arrange, sql) -> None:
    sql("UPDATE schedule SET last_run_at = last_run_at - interval '2 days' WHERE name IN ('blobs', 'retention')")
    late = examined()["worker"]
    assert late["level"] == "warn"
    assert late["found"] == "a worker is running, but these sweeps are late: blobs, retention"
    arrange(lambda services: services.redis.flushdb())
    silent = examined()["worker"]
    assert silent["level"] == "warn"
    assert re.fullmatch(r"no worker has reported for .+; these sweeps are late: blobs, retention", silent["found"])
    sql("DELETE FROM schedule")
    assert examined()["worker"]["level"] == "fail"
    arrange(lambda services: services.redis.set("trailgate:wake-ups:health-check", "alive", ex=60))
    assert examined()["worker"]["level"] == "warn"


def test_a_redis_that_evicts(servers: EmbeddedServers, data_dir: Path, troubles) -> None:
    prepare(servers, data_dir)
    with closing(Redis.from_url(servers.redis_url)) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert troubles() == {"redis": "warn"}


def test_partitions_that_are_missing(worked, examined, sql) -> None:
    sql(
        "DO $$ DECLARE p text; BEGIN FOR p IN SELECT inhrelid::regclass FROM pg_inherits "
        "WHERE inhparent = 'attempts'::regclass ORDER BY 1 DESC OFFSET 1 LIMIT 3 "
        "LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$"
    )
    partitions = examined()["partitions"]
    assert (partitions["level"], partitions["found"]) == ("warn", "attempts has partitions for 0 months to come")


def test_what_stands_still(worked, troubles, arrange, sql) -> None:
    async def fill(services: Services) -> None:
        world = await World.founded(services)
        config = await world.config(await world.flow())
        await world.deliver(world.arrival(config, "d"))
        await post(world, (await world.rule()).rule.destination_id, "subject")

    arrange(fill)
    assert troubles() == LAX
    for table in ("inbox", "outbox"):
        sql(f"UPDATE {table} SET due_at = due_at - interval '2 minutes'")
    sql("UPDATE unsealed SET event_id = overlay(event_id::text placing '00' from 1 for 2)::uuid")
    # A waiting event with another id is one that Trailgate did not write, so its ledger fails as well.
    assert troubles() == LAX | {"inbox": "fail", "outbox": "fail", "ledger": "fail", "ledgers": "fail"}


def test_dead_letters_of_both_ends(ruled, examined, arrange, sql) -> None:
    _, destination = ruled()
    arrange(sent(destination, ErrorClass.PERMANENT))

    async def deliver(services: Services) -> None:
        world = await World.founded(services)
        await world.deliver(world.arrival(await world.config(await world.flow()), "d"))
        await Sealer()(services)

    arrange(deliver)
    sql("UPDATE deliveries SET status = 'FAILED'")
    sql("DELETE FROM inbox")
    found = examined()
    assert found["dead letters"]["advice"].startswith("trailgate inbox dead")
    assert found["dead messages"]["advice"].startswith("trailgate outbox dead")
    assert {found[check]["level"] for check in ("dead letters", "dead messages")} == {"warn"}


def test_a_destination_that_is_disabled(ruled, examined, trailgate, arrange) -> None:
    rule, destination = ruled()
    ruled()
    arrange(sent(destination, ErrorClass.PERMANENT, gone=True))
    disabled = examined()["destinations"]
    assert (disabled["level"], "HTTP 500" in disabled["found"]) == ("fail", True)
    assert f"POST /api/v1/destinations/{destination}/enable" in disabled["advice"]
    assert str(rule) in disabled["advice"]
    assert re.search(r"^ok    destinations   1 healthy$", trailgate("doctor").out, re.MULTILINE)


@pytest.mark.parametrize(
    ("failure", "found"),
    [(ErrorClass.TRANSIENT, "has been failing since"), (ErrorClass.THROTTLED, "has been failing since")],
)
def test_a_destination_that_fails(ruled, examined, arrange, failure: ErrorClass, found: str) -> None:
    rule, destination = ruled()
    arrange(sent(destination, failure, wait=timedelta(minutes=5)))
    failing = examined()["destinations"]
    assert (failing["level"], found in failing["found"], str(rule) in failing["advice"]) == ("warn", True, True)


def test_a_destination_that_wants_a_pause(ruled, examined, sql) -> None:
    ruled()
    sql("UPDATE destinations SET paused_until = now() + interval '1 hour'")
    paused = examined()["destinations"]
    assert (paused["level"], "asked for a pause until 20" in paused["found"]) == ("warn", True)


def test_a_label_cannot_command_the_terminal(ruled, trailgate, sql) -> None:
    ruled()
    sql("UPDATE destinations SET label = E'\x1b[2J', disabled_at = now(), disabled_reason = E'gone\x07\nok    all'")
    shown = trailgate("doctor").out
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert not re.search("^ok    all", shown, re.MULTILINE)


def test_a_master_key_that_is_another_one(ruled, examined, tmp_path: Path) -> None:
    ruled()
    key = tmp_path / "data" / "keys" / "master.key"
    mine = key.read_text()
    key.unlink()
    assert {"master key", "secrets", "ledgers"} <= examined("--probe").keys()
    key.write_text("A" * 43 + "=")
    key.chmod(0o600)
    wrong = examined("--probe")
    assert wrong["secrets"]["level"] == "fail"
    assert mine.strip() not in str(wrong)


def test_secrets_of_an_older_master_key(ruled, examined, sql) -> None:
    ruled()
    ruled()
    sql(
        "UPDATE secrets SET key_id = 'elsewhere', created_at = created_at - interval '1 day' WHERE id = "
        "(SELECT id FROM secrets ORDER BY id LIMIT 1)"
    )
    secrets = examined()["secrets"]
    assert (secrets["level"], "1 with elsewhere" in secrets["found"]) == ("warn", True)


def test_a_folder_that_cannot_be_written_to(worked, troubles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRAILGATE_CHECKPOINT_DIR", str(tmp_path / "file" / "checkpoints"))
    assert troubles() == LAX | {"checkpoints": "fail"}


def test_each_way_is_tried_when_asked(ruled, trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as receiver, socket.create_server(("127.0.0.1", 0)) as closed:
        port, nobody = (one.getsockname()[1] for one in (receiver, closed))
        closed.close()
        ruled(config={"webhookUrl": f"http://127.0.0.1:{port}/secret-path"})
        ruled(Channel.SLACK, config={"webhookUrl": f"http://127.0.0.1:{nobody}/secret-path"})
        ruled(Channel.IN_APP, config={})
        assert "reach" not in trailgate("doctor").out
        monkeypatch.setenv("TRAILGATE_OUTBOUND_ALLOW", "127.0.0.0/8")
        monkeypatch.setenv("TRAILGATE_SMTP_URL", f"smtp://ann:password@127.0.0.1:{nobody}")
        seen = trailgate("doctor", "--probe")
        receiver.settimeout(5)
        connection, _ = receiver.accept()
        with connection:
            connection.settimeout(5)
            try:
                heard = connection.recv(100)
            except ConnectionResetError:
                heard = b""
    tried = [line.split(maxsplit=2)[:2] for line in seen.out.splitlines() if line[6:19].strip() in ("reach", "mail")]
    assert (seen.status, heard) == (1, b"")
    assert sorted(tried) == [["fail", "mail"], ["fail", "reach"], ["ok", "reach"]]
    assert "secret-path" not in seen.out
    assert "password" not in seen.out


def test_a_misspelt_variable_is_named_with_the_nearest_setting(
    worked: None, examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAILGATE_DATABSE_URL", "x")
    assert "did you mean TRAILGATE_DATABASE_URL?" in examined()["variables"]["advice"]
    monkeypatch.delenv("TRAILGATE_DATABSE_URL")
    monkeypatch.setenv("TRAILGATE_FOO", "x")
    assert "trailgate settings" in examined()["variables"]["advice"]


def test_levels_are_coloured_on_a_terminal_only(tmp_path: Path, trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("doctor", "--data-dir", tmp_path / "none")
    plain = trailgate(*words).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = trailgate(*words).out
    assert "\x1b[1;31mfail\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in trailgate(*words).out
