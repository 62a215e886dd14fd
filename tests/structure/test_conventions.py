"""Sizes, names and habits that a program can check."""

import ast
import importlib
import importlib.metadata
import re
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.structure.test_imports import FOLDERS, sources

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
NINE_IN_TEN = 30
BANNED_NAMES = {"utils", "common", "helpers", "manager", "base", "misc"}

ALL = [path for folder in FOLDERS for path in sources(folder)]
HAND_WRITTEN = [path for path in ALL if "versions" not in path.parts]


def functions(path: Path) -> list[tuple[str, int]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_files_stay_short() -> None:
    assert not [path for path in HAND_WRITTEN if len(path.read_text().splitlines()) > LONGEST_FILE]


def test_functions_stay_short() -> None:
    lengths = [found for path in HAND_WRITTEN for found in functions(path)]
    tables_of_routes = {"routes"}
    assert not [
        name for name, length in lengths if length > LONGEST_FUNCTION and name.split()[-1] not in tables_of_routes
    ]
    ordered = sorted(length for _, length in lengths)
    assert ordered[int(len(ordered) * 0.9)] <= NINE_IN_TEN


def test_no_module_has_an_empty_name() -> None:
    assert not [path for path in ALL if path.stem in BANNED_NAMES or BANNED_NAMES & set(path.relative_to(ROOT).parts)]


def test_open_work_lives_in_issues() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert not [path for path in ALL if marks.search(path.read_text())]


def test_commands_use_no_unit_of_work() -> None:
    """Commands are set-based: an ORM session drains a tenth as fast."""
    assert not [
        path for path in sources("storage") if re.search(r"AsyncSession|sessionmaker|sqlalchemy\.orm", path.read_text())
    ]


def test_pages_are_keysets() -> None:
    """OFFSET stands in one place, which caps how deep it reaches (ADR 0011). OFFSET 0 only keeps a subquery apart."""
    assert [path.name for path in ALL if re.search(r"\bOFFSET (?!0\b)", _code(path))] == ["paging.py"]


def _code(path: Path) -> str:
    """The source without its docstrings and comments."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return ast.unparse(tree)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_ours_and_nobody_elses(name: str) -> None:
    """A foreign package of the same name must never be found first."""
    package = importlib.import_module(name)
    assert package.__file__ is not None
    assert Path(package.__file__).is_relative_to(ROOT)
    assert not importlib.metadata.packages_distributions().get(name)


def test_the_top_level_is_as_agreed() -> None:
    wanted = {
        "pyproject.toml",
        "README.md",
        "api",
        "workers",
        "integrations",
        "storage",
        "tests",
        "compose.yaml",
        "Procfile",
    }
    assert wanted | {"domain", "cli", "docs"} <= {path.name for path in ROOT.iterdir()}


ENVIRONMENT = "storage/settings.py"


def test_the_environment_is_read_in_one_place() -> None:
    """Settings are on one page, so that no switch hides in a module."""
    reading = {path.relative_to(ROOT).as_posix() for path in ALL if re.search(r"\bos\.(environ|getenv)\b", _code(path))}
    assert reading == {ENVIRONMENT}
