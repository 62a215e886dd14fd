"""What all commands have in common."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.main import command_line
from tests.paths import ROOT


def test_the_version_is_that_of_the_project(trailgate) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    outcome = trailgate("--version")
    assert (outcome.status, outcome.out, outcome.err) == (0, f"trailgate {version}\n", "")


def test_completion_can_be_installed(trailgate) -> None:
    assert "--install-completion" in trailgate("--help").out


def commands(group: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command that does something itself."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield (*words, name)


@pytest.mark.parametrize("words", list(commands(command_line())), ids=" ".join)
def test_every_command_takes_a_data_directory(words: tuple[str, ...], trailgate) -> None:
    assert "--data-dir" in trailgate(*words, "--help").out


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_data_directory_is_taken_before_and_after_a_subcommand(
    place: int, trailgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(tmp_path / "other"))
    words: list[object] = ["keys", "list"]
    words[place:place] = ["--data-dir", tmp_path / "chosen"]
    assert f"no database in {tmp_path / 'chosen'}:" in trailgate(*words).err
    assert f"no database in {tmp_path / 'other'}:" in trailgate("keys", "list").err, "for one command only"


@pytest.mark.parametrize("given", ["", "."])
def test_no_data_directory_is_made_of_an_empty_text(
    given: str, trailgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = trailgate("up", "--port", 0, "--data-dir", given)
    assert (refused.status, "give the path of a folder" in refused.err) == (2, True)
    assert list(tmp_path.iterdir()) == []
