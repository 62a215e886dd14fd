"""Digests of files and folders."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from cli.fingerprints import Tracked, fingerprint
from domain.errors import Invalid

BY_TOOLS = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1"


def digest_of(path: Path | str, *exclude: str) -> str:
    return fingerprint(Tracked(path=str(path), exclude=list(exclude)), lambda: None)


def expected(text: bytes) -> str:
    return f"sha256:{sha256(text).hexdigest()}"


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name}")
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write(tmp_path / "tree", "a/b", "a.txt", "a/c/d", "ä", ".hidden", "z", "with space", "Z")


def test_a_file_has_the_digest_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(b"x" * 3_000_000)
    assert digest_of(tmp_path / "app") == expected(b"x" * 3_000_000)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_a_folder_has_the_digest_that_sha256sum_gives(tree: Path) -> None:
    (tree / "back\\slash").touch()
    (tree / "line\nfeed").touch()
    (tree / os.fsdecode(b"no-utf-8-\xff")).touch()
    by_tools = subprocess.run(["sh", "-c", BY_TOOLS], cwd=tree, capture_output=True, text=True, check=True)
    assert digest_of(tree) == f"sha256:{by_tools.stdout.strip()}"


def test_the_list_is_as_documented(tmp_path: Path) -> None:
    root = write(tmp_path / "root", "b", "a/c")
    (root / "a" / "link").symlink_to("./../b")
    (root / "nowhere").symlink_to("/does/not/exist")
    (root / "folder").symlink_to("a")
    lines = [
        (b"content of a/c", b"  ./a/c"),
        (b"./../b", b" @./a/link"),
        (b"content of b", b"  ./b"),
        (b"a", b" @./folder"),
        (b"/does/not/exist", b" @./nowhere"),
    ]
    text = b"".join(sha256(content).hexdigest().encode() + rest + b"\n" for content, rest in lines)
    assert digest_of(root) == expected(text)


def test_the_order_modes_times_and_the_place_do_not_count(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    files = sorted((path.relative_to(tree) for path in tree.rglob("*") if path.is_file()), reverse=True)
    write(copy, *map(str, files))
    (copy / "z").chmod(0o600)
    os.utime(copy / "z", (0, 0))
    (copy / "empty" / "folders").mkdir(parents=True)
    assert digest_of(copy) == digest_of(tree) == digest_of(f"{tree}/") == digest_of(tmp_path / "x" / ".." / "tree")


def remove(root: Path) -> None:
    (root / "z").unlink()


def rename(root: Path) -> None:
    (root / "z").rename(root / "y")


def move(root: Path) -> None:
    (root / "a" / "b").rename(root / "b")


def rewrite(root: Path) -> None:
    (root / "a" / "b").write_text("other")


def link(root: Path) -> None:
    (root / "z").unlink()
    (root / "z").symlink_to("content of z")


@pytest.mark.parametrize("change", [remove, rename, move, rewrite, link])
def test_every_other_change_is_seen(tree: Path, change: Callable[[Path], None]) -> None:
    before = digest_of(tree)
    change(tree)
    assert digest_of(tree) != before


def test_the_path_itself_may_be_a_link(tree: Path, tmp_path: Path) -> None:
    """As a release that is current."""
    (tmp_path / "current").symlink_to("tree")
    assert digest_of(tmp_path / "current") == digest_of(tree)


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.log", {"a/x.log", "a/b/x.log", "b/c", "a/b/c"}),
        ("**/*.log", {"b/c", "a/b/c"}),
        ("a", {"x.log", "b/c"}),
        ("./a/", {"x.log", "b/c"}),
        ("a/**", {"x.log", "b/c"}),
        ("**/b", {"x.log", "a/x.log"}),
        ("a/*/c", {"x.log", "a/x.log", "a/b/x.log", "b/c"}),
        ("a/**/**/c", {"x.log", "a/x.log", "a/b/x.log", "b/c"}),
        ("[!x]*", {"x.log"}),
        ("?.log", {"a/x.log", "a/b/x.log", "b/c", "a/b/c"}),
        ("**", set()),
        ("", {"x.log", "a/x.log", "a/b/x.log", "b/c", "a/b/c"}),
        ("../a", {"x.log", "a/x.log", "a/b/x.log", "b/c", "a/b/c"}),
    ],
)
def test_what_is_excluded(pattern: str, left: set[str], tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", "x.log", "a/x.log", "a/b/x.log", "b/c", "a/b/c")
    part = write(tmp_path / "part", *left)
    part.mkdir(exist_ok=True)
    assert digest_of(whole, pattern) == digest_of(part)


def test_a_folder_that_is_excluded_is_not_entered(tree: Path) -> None:
    (tree / "private").mkdir()
    os.mkfifo(tree / "private" / "pipe")
    digest_of(tree, "private")


def test_many_stars_take_no_time(tmp_path: Path) -> None:
    deep = write(tmp_path / "deep", "/".join("a" * 60))
    digest_of(deep, "/".join(["**/a"] * 40 + ["b"]))


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize("make", [fifo, unix_socket])
def test_special_files_are_refused(make: Callable[[Path], None], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    Path("tree").mkdir()
    make(Path("tree/odd"))
    for path in ("tree", "tree/odd"):
        with pytest.raises(Invalid, match=r"tree/odd is neither a file nor a folder nor a symbolic link"):
            digest_of(path)


def test_each_file_is_told(tree: Path) -> None:
    told: list[None] = []
    fingerprint(Tracked(path=str(tree)), lambda: told.append(None))
    assert len(told) == 8
