"""Whom the servers run as, and which directories that user may pass."""

import os
import pwd
from pathlib import Path

import pytest

from cli.embedded.account import Account, serving_account
from domain.errors import Invalid

NOBODY = Account("nobody", 65534, 65534, (65534,))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root switches users")


@pytest.mark.parametrize(
    ("mode", "owner", "group", "enters"),
    [
        (0o700, 65534, 0, True),
        (0o077, 65534, 65534, False),  # the owner's bits count for the owner, however open the others are
        (0o010, 0, 65534, True),
        (0o707, 0, 65534, False),
        (0o010, 0, 777, True),
        (0o001, 0, 0, True),
        (0o776, 0, 0, False),
    ],
)
@as_root
def test_mode_bits_decide_by_owner_then_group_then_others(home: Path, mode, owner, group, enters) -> None:
    folder = home / "folder"
    folder.mkdir()
    os.chown(folder, owner, group)
    folder.chmod(mode)
    assert Account("nobody", 65534, 65534, (65534, 777)).may_enter(folder) is enters


@as_root
def test_the_barrier_is_the_outermost_closed_step(home: Path) -> None:
    inner = home / "a" / "b" / "c"
    inner.mkdir(parents=True)
    for folder in (home, home / "a", home / "a" / "b", inner):
        folder.chmod(0o755)
    assert NOBODY.barrier(inner) is None
    inner.chmod(0o700)
    assert NOBODY.barrier(inner) == inner
    (home / "a").chmod(0o750)
    assert NOBODY.barrier(inner) == home / "a"


def test_an_account_has_the_groups_of_its_user() -> None:
    me = pwd.getpwuid(os.geteuid())
    account = Account.named(me.pw_name)
    assert (account.uid, account.gid) == (me.pw_uid, me.pw_gid)
    assert me.pw_gid in account.groups
    with pytest.raises(KeyError):
        Account.named("no-such-user")


@as_root
def test_the_owner_of_a_path_may_have_left_the_passwd_file(home: Path) -> None:
    os.chown(home, 54321, 54322)
    assert Account.owning(home) == Account("54321", 54321, 54322, (54322,))


@pytest.mark.skipif(os.geteuid() == 0, reason="root switches users")
def test_a_user_serves_as_oneself(home: Path) -> None:
    assert serving_account(home / "postgres", "nobody") is None


@as_root
def test_root_serves_new_data_as_the_user_set_else_postgres_else_nobody(home: Path) -> None:
    cluster = home / "postgres"
    assert serving_account(cluster, "nobody") == Account.named("nobody")
    default = serving_account(cluster, None)
    assert default is not None
    assert default.name == ("postgres" if "postgres" in [entry.pw_name for entry in pwd.getpwall()] else "nobody")


@as_root
def test_root_serves_existing_data_as_its_owner_whatever_is_set(home: Path) -> None:
    cluster = home / "postgres"
    cluster.mkdir()
    os.chown(cluster, 54321, 54322)
    assert serving_account(cluster, "nobody") == Account.named("nobody"), "an empty folder is not data"
    (cluster / "PG_VERSION").write_text("18\n")
    existing = serving_account(cluster, "nobody")
    assert existing is not None
    assert existing.uid == 54321


@as_root
def test_root_does_not_serve_as_root_or_as_a_stranger(home: Path) -> None:
    with pytest.raises(Invalid, match="refuses to run as root: set TRAILGATE_RUN_AS"):
        serving_account(home / "postgres", "root")
    with pytest.raises(Invalid, match="no user no-such-user on this machine"):
        serving_account(home / "postgres", "no-such-user")
