"""The folders: their modes and owners, where sockets go, and the lock."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from cli.embedded.account import Account
from cli.embedded.layout import Layout, create_root, in_use, locked, private_folder
from domain.errors import Conflict, Invalid
from storage.settings import default_data_dir

SOMEBODY = Account("somebody", 12345, 12345, (12345,))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root switches users")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("passable", "expected"), [(True, 0o711), (False, 0o700)])
def test_missing_parents_are_made_and_existing_ones_keep_their_mode(home: Path, passable, expected) -> None:
    home.chmod(0o751)
    before = os.umask(0o077)
    try:
        create_root(home / "new" / "data", passable=passable)
        create_root(home / "new" / "data", passable=not passable)
    finally:
        os.umask(before)
    assert mode(home) == 0o751
    assert mode(home / "new") == mode(home / "new" / "data") == expected


def test_a_place_where_nothing_can_be_made_is_refused_in_one_line(home: Path) -> None:
    (home / "file").touch()
    for root in (Path("/proc/trailgate/data"), home / "file" / "data", home / "file"):
        with pytest.raises(Invalid) as refusal:
            create_root(root, passable=False)
        assert str(root) in refusal.value.message
        assert "\n" not in refusal.value.message


def test_sockets_lie_under_the_data_directory_while_the_path_is_short_enough() -> None:
    longest = Path("/" + "x" * (100 - len("//run/.s.PGSQL.5432.lock")))
    assert len(str(longest / "run" / ".s.PGSQL.5432.lock")) == 100
    assert Layout(longest, None).sockets == longest / "run"
    elsewhere = Layout(Path(f"{longest}x"), None).sockets
    assert elsewhere.name.startswith(f"trailgate-{os.geteuid()}-")
    assert elsewhere != Layout(Path(f"{longest}y"), None).sockets


@pytest.mark.parametrize("name", ["a,b", "a:b", 'a"b', "a\\b", "a\nb", os.fsdecode(b"a\xffb")])
def test_names_that_an_address_cannot_carry_have_their_sockets_elsewhere(name: str) -> None:
    assert not Layout(Path("/srv") / name, None).sockets.is_relative_to("/srv")


def test_a_long_temporary_folder_is_passed_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(home / ("t" * 90)))
    sockets = Layout(Path("/" + "x" * 150), None).sockets
    assert sockets.parent == Path("/tmp").resolve()


@as_root
def test_a_temporary_folder_the_account_cannot_pass_is_passed_over(home: Path, monkeypatch) -> None:
    home.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(home))
    root = Path("/" + "x" * 150)
    assert Layout(root, None).sockets.parent == home
    assert Layout(root, SOMEBODY).sockets.parent == Path("/tmp").resolve()
    assert Layout(root, SOMEBODY).sockets.name.startswith("trailgate-12345-")


@as_root
def test_the_servers_folders_belong_to_their_account_and_the_rest_to_us(home: Path) -> None:
    layout = Layout(home, SOMEBODY)
    for _ in range(2):  # the second time all are there
        layout.create()
        owned = {path.name: (path.stat().st_uid, mode(path)) for path in home.iterdir()}
        assert owned == {"run": (12345, 0o700), "valkey": (12345, 0o700), "logs": (0, 0o700)}


@as_root
def test_a_closed_parent_is_named_and_stays_closed(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    create_root(closed / "data", passable=True)
    with pytest.raises(
        Invalid, match=f"user somebody, who runs the servers, cannot pass {closed}: choose .*{default_data_dir()}"
    ):
        Layout(closed / "data", SOMEBODY).create()
    assert mode(closed) == 0o700
    assert list((closed / "data").iterdir()) == []


def test_a_private_folder_is_made_or_found_private(home: Path) -> None:
    folder = home / "private"
    for _ in range(2):
        private_folder(folder, None)
        assert mode(folder) == 0o700


def test_a_folder_others_may_enter_a_link_and_a_file_are_refused(home: Path) -> None:
    (home / "open").mkdir()
    (home / "open").chmod(0o701)
    (home / "true").mkdir(mode=0o700)
    (home / "link").symlink_to(home / "true")
    (home / "file").touch(mode=0o600)
    for name in ("open", "link", "file"):
        with pytest.raises(Invalid, match=r"must be a directory of mode 0700"):
            private_folder(home / name, None)
    assert mode(home / "open") == 0o701


@as_root
def test_a_folder_whose_creation_was_interrupted_is_handed_over(home: Path) -> None:
    (home / "ours").mkdir(mode=0o700)
    private_folder(home / "ours", SOMEBODY)
    assert (home / "ours").stat().st_uid == SOMEBODY.uid


@as_root
def test_a_folder_of_another_user_is_refused(home: Path) -> None:
    private_folder(home / "theirs", SOMEBODY)
    other = Account("other", 23456, 23456, (23456,))
    with pytest.raises(Invalid, match="belongs to user 12345, the servers run as user 23456"):
        private_folder(home / "theirs", other)


def test_the_lock_is_exclusive_and_ends_with_its_holder(home: Path) -> None:
    assert not in_use(home)
    assert not in_use(home / "none")
    with locked(home):
        assert in_use(home)
        with pytest.raises(Conflict, match=f"another `trailgate up` runs on {home}") as refusal, locked(home):
            pytest.fail("taken twice")
        assert refusal.value.kind == "state"
    with locked(home):
        pass


def test_the_lock_leaves_no_file_and_ends_when_its_holder_is_killed(home: Path, spawn) -> None:
    holder = spawn(
        "import sys, time\nfrom pathlib import Path\nfrom cli.embedded.layout import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)",
        home,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Conflict), locked(home):
        pytest.fail("taken twice")
    holder.kill()
    holder.wait()
    with locked(home):
        assert list(home.iterdir()) == []


def test_an_unlocked_directory_can_be_locked_by_others(home: Path) -> None:
    with locked(home):
        pass
    handle = os.open(home, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
