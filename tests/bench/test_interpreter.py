import sys
from pathlib import Path

import pytest

from tests.bench.interpreter import Interpreter, build, installed, is_optimised


@pytest.mark.parametrize(
    ("configured", "optimised"),
    [("'--enable-shared' '--enable-optimizations'", True), ("'--enable-shared'", False), ("", False), (None, False)],
)
def test_the_arguments_of_its_build_tell_whether_it_is_optimised(configured: str | None, optimised: bool) -> None:
    assert is_optimised(configured) is optimised


def test_packages_that_are_missing_have_no_version() -> None:
    assert installed(["uvloop", "there-is-no-such-package"]).keys() == {"uvloop"}


def test_an_interpreter_tells_about_itself() -> None:
    found = Interpreter.inspect(sys.executable, ["uvloop"])
    assert found is not None
    assert (found.path, found.build) == (sys.executable, build())
    assert found.versions.keys() == {"uvloop"}


def test_an_interpreter_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert Interpreter.inspect(str(tmp_path / "python"), []) is None
