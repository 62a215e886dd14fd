"""The forms of tables, API and configuration."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from cli.embedded.testing import clone_database, drop_database
from storage.settings import Settings


@pytest.fixture
def empty_database(configured, worker_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database without a table, named by the environment."""
    name = f"empty_{worker_id}"
    url = asyncio.run(clone_database(configured.admin_url, "template0", name))
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", url)
    yield url
    asyncio.run(drop_database(configured.admin_url, name))


def test_migrate_brings_an_empty_database_up_and_repeats_harmlessly(empty_database: str, trailgate) -> None:
    missing = trailgate("migrate", "--check")
    assert missing.status == 1
    assert "at revision none" in missing.out
    applied = trailgate("migrate")
    assert (applied.status, applied.out.startswith("applied 0001")) == (0, True)
    assert trailgate("migrate").out == "nothing to apply\n"
    assert trailgate("migrate", "--check").status == 0


@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--check"), ("up", "--port", "0")])
def test_a_database_of_a_newer_version_is_told(configured, trailgate, arrange, words: tuple[str, ...]) -> None:
    async def change(services) -> None:
        async with services.database.transaction() as tx:
            await tx.execute("UPDATE alembic_version SET version_num = '9999'")

    arrange(change)
    refused = trailgate(*words)
    assert refused.status == 2
    assert refused.err.splitlines()[-1] == (
        "trailgate: The database is at revision 9999, which this version does not know: a newer version migrated it. "
        "Install that version, or use another TRAILGATE_DATA_DIR with a backup made before the upgrade."
    )


def test_check_names_a_table_that_was_changed_by_hand(started: None, trailgate, arrange) -> None:
    async def change(services) -> None:
        async with services.database.transaction() as tx:
            await tx.execute("ALTER TABLE schedule ADD COLUMN surprise text")

    arrange(change)
    seen = trailgate("migrate", "--check")
    assert seen.status == 1
    assert "surprise" in seen.out


def test_other_commands_on_an_unmigrated_database_say_what_to_do(empty_database: str, trailgate) -> None:
    for words in (["keys", "list"], ["verify"], ["inbox", "dead"], ["rebuild", "all"]):
        refused = trailgate(*words)
        assert (refused.status, refused.out) == (2, ""), words
        assert "run `trailgate migrate`" in refused.err


def test_a_database_that_is_none_and_an_address_that_is_none(
    configured, trailgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", configured.database_url.replace("/t_", "/no_"))
    assert "does not exist" in trailgate("migrate").err
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", "mysql://somewhere")
    for words in (["migrate"], ["keys", "list"]):
        refused = trailgate(*words)
        assert (refused.status, len(refused.err.splitlines())) == (2, 1)


def test_openapi_needs_no_database_and_is_valid(trailgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAILGATE_DATABASE_URL", raising=False)
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(tmp_path / "none"))
    printed = trailgate("openapi")
    assert printed.status == 0
    document = json.loads(printed.out)
    assert document["openapi"] == "3.1.0"
    assert "/api/v1/flows" in document["paths"]
    validate(document)
    file = tmp_path / "openapi.json"
    assert trailgate("openapi", "--output", file).out == ""
    assert file.read_text(encoding="utf-8") == printed.out
    assert not (tmp_path / "none").exists()
    assert str(tmp_path / "no" / "x") in trailgate("openapi", "--output", tmp_path / "no" / "x").err


def test_the_table_of_settings_is_whole_and_has_no_secret(trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILGATE_MASTER_KEY", "c2VjcmV0")
    monkeypatch.setenv("TRAILGATE_PORT", "9999")
    printed = trailgate("settings")
    assert printed.status == 0
    heading, rule, *rows = printed.out.splitlines()
    assert {row.count("|") - row.count("\\|") for row in (heading, rule, *rows)} == {4}
    names = [row.split("`")[1] for row in rows]
    assert names == [f"TRAILGATE_{name.upper()}" for name in Settings.model_fields]
    assert "| `TRAILGATE_PORT` | `8080` |" in printed.out
    assert "c2VjcmV0" not in printed.out


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("AUTH", "maybe"), ("DATABASE_POOL", "1"), ("LOG_LEVEL", "loud")]
)
def test_a_setting_that_is_none_is_named(trailgate, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TRAILGATE_{name}", value)
    refused = trailgate("migrate")
    assert refused.status == 2
    assert refused.err.startswith(f"trailgate: TRAILGATE_{name}: ")


def test_help_lists_every_command_and_an_unknown_one_is_refused(trailgate) -> None:
    shown = trailgate("--help")
    assert shown.status == 0
    words = ("up", "api", "worker", "migrate", "openapi", "keys", "organisations", "verify", "inbox", "rebuild")
    assert [word for word in (*words, "backup", "restore", "settings") if f" {word} " not in shown.out] == []
    assert trailgate("fly").status == 2
