"""Log files are kept small while their children write to them."""

import sys
from pathlib import Path

import pytest

from cli.embedded.children import Child
from cli.embedded.logfiles import LogFiles
from tests.disks import mounted

WRITER = "import itertools, os\nfor n in itertools.count(): os.write(1, b'%09d\\n' % n)"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_large_file_becomes_the_newest_of_the_kept_ones_and_the_oldest_goes(home: Path) -> None:
    files = LogFiles(home, size=3, kept=2)
    for text in ("one\n", "two\n", "three\n"):
        (home / "api.log").write_text(text)
        files.rotate()
    (home / "api.log").write_text("ok\n")
    (home / "other.txt").write_text("not a log")
    files.rotate()
    assert contents(home) == {
        "api.log": "ok\n",
        "api.log.1": "three\n",
        "api.log.2": "two\n",
        "other.txt": "not a log",
    }


@pytest.mark.parametrize(("kept", "names"), [(0, {"api.log"}), (1, {"api.log", "api.log.1"})])
def test_few_or_none_are_kept(home: Path, kept: int, names: set[str]) -> None:
    for text in ("first\n", "second\n"):
        (home / "api.log").write_text(text)
        LogFiles(home, size=3, kept=kept).rotate()
    found = contents(home)
    assert found.keys() == names
    assert found["api.log"] == ""
    assert found.get("api.log.1", "second\n") == "second\n"


def test_a_child_goes_on_writing_and_its_lines_stay_in_order(home: Path) -> None:
    child = Child("writer", [sys.executable, "-c", WRITER], log=home / "writer.log")
    files = LogFiles(home, size=100_000, kept=500)
    child.start()
    try:
        while not (home / "writer.log.5").exists():
            assert child.alive
            files.rotate()
    finally:
        child.stop()
    written = sorted(home.iterdir(), key=lambda path: -int(path.suffix[1:] or 0) if path.suffix != ".log" else 1)
    lines = [line for path in written for line in path.read_text().splitlines()[:-1]]  # the last may be cut
    assert {len(line) for line in lines} == {9}, "no file begins with a gap"
    assert lines == sorted(set(lines))
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def test_on_a_full_disk_a_large_file_is_emptied_all_the_same(home: Path) -> None:
    with mounted(home, "200k"):
        (home / "api.log").write_bytes(b"x" * 120_000)
        LogFiles(home, size=1000, kept=3).rotate()
        assert contents(home) == {"api.log": ""}
