"""Which servers a command works on."""

from pathlib import Path

import psutil
import pytest

from cli.embedded.servers import EmbeddedServers, ServerOptions


def servers_below(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process.name())
        except psutil.Error:
            continue
    return found


def test_without_a_running_up_servers_are_started_for_the_command_alone(data_dir: Path, trailgate) -> None:
    applied = trailgate("migrate")
    assert applied.status == 0
    assert applied.out.startswith("applied 0001")
    assert f"No `trailgate up` runs on {data_dir}" in applied.err
    assert servers_below(data_dir) == []
    checked = trailgate("migrate", "--check")
    assert checked.status == 0, "what was applied is kept"


def test_with_a_running_up_its_servers_are_asked_and_left_alone(data_dir: Path, trailgate) -> None:
    with EmbeddedServers(data_dir, ServerOptions(durable=False)) as servers:
        before = [child.pid for child in servers.children]
        applied = trailgate("migrate")
        assert (applied.status, applied.err) == (0, "")
        assert trailgate("keys", "list").status == 0
        servers.tick()
        assert [child.pid for child in servers.children] == before


def test_only_commands_that_make_a_database_make_one(data_dir: Path, trailgate, monkeypatch) -> None:
    empty = data_dir.with_name("empty")
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(empty))
    for words in (["keys", "list"], ["verify"], ["migrate", "--check"], ["backup", "x"], ["inbox", "list"]):
        refused = trailgate(*words)
        assert refused.status == 2, words
        assert "trailgate up" in refused.err
    assert not empty.exists()


def test_a_lone_redis_address_is_refused(data_dir: Path, trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILGATE_REDIS_URL", "redis://localhost")
    refused = trailgate("keys", "list")
    assert refused.status == 2
    assert "set both or neither" in refused.err


def test_relative_folders_are_those_of_the_caller(data_dir: Path, trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_dir.parent)
    monkeypatch.setenv("TRAILGATE_DATA_DIR", "data")
    assert f"runs on {data_dir}:" in trailgate("migrate").err
