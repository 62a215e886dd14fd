"""The worked example of docs/contributing.md: a copy of the repository with it passes what the repository passes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.worked_example import PAGE, blocks, cost
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TESTS_OF_IT = (
    ["tests/api", "-k", "contact"],
    ["tests/structure", "tests/storage/ledger", "tests/api/http/documentation/test_documents.py"],
)
"""What runs over every route or record, as far as it meets the new ones; and what looks at the whole."""


def run(copy: Path, *command: str) -> str:
    outside = ("TRAILGATE_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def refuse_carried_out(root: Path) -> None:
    """The example is for reading: a tree that has it is not to be committed, and it cannot be added once more."""
    there = [block.path for block in blocks(PAGE.read_text()) if block.whole and (root / block.path).exists()]
    assert not there, (
        "docs/contributing.md was carried out in this tree: remove the example before 'make test-all'. "
        f"It has {', '.join(there)}."
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the example in it, its API document written anew."""
    refuse_carried_out(ROOT)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    root = tmp_path_factory.mktemp("copy")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    for block in blocks(PAGE.read_text()):
        block.apply(root)
    run(root, "cli", "openapi", "--output", "docs/openapi.json")
    subprocess.run("git init -q && git add -A", cwd=root, shell=True, check=True)
    return root


def test_a_tree_that_has_the_example_is_refused_with_advice(tmp_path: Path) -> None:
    refuse_carried_out(tmp_path)
    (tmp_path / "domain" / "facts").mkdir(parents=True)
    (tmp_path / "domain" / "facts" / "contacts.py").touch()
    with pytest.raises(AssertionError, match=r"carried out in this tree: remove the example before 'make test-all'"):
        refuse_carried_out(tmp_path)


def test_it_is_formatted_and_typed(copy: Path) -> None:
    run(copy, "ruff", "check", ".")
    run(copy, "ruff", "format", "--check", ".")
    run(copy, "mypy")


@pytest.mark.parametrize("selection", TESTS_OF_IT, ids=["its routes", "the whole"])
def test_it_passes_what_every_resource_passes(copy: Path, selection: list[str]) -> None:
    run(copy, "pytest", "-n", "2", *selection)


def test_the_page_says_what_it_costs() -> None:
    page = PAGE.read_text()
    found = cost(page)
    assert f"**{found['files']} files, {found['lines']} lines of source and {found['tests']} of test**" in page
