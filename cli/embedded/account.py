"""The operating-system user that runs the embedded servers, and its access to paths.

PostgreSQL refuses to run as root. Started by root, the servers run as another user, who needs access to every directory
above the data. Only the operator may open those directories.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from domain.errors import Invalid

_FALLBACKS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user that children are switched to; `groups` holds the supplementary group ids."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def named(cls, name: str) -> Self:
        """Look the user up. Raises KeyError when there is none."""
        entry = pwd.getpwnam(name)
        return cls(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))

    @classmethod
    def owning(cls, path: Path) -> Self:
        """Return the owner of a path, even one that is no longer in the passwd file."""
        owner = path.stat()
        try:
            return cls.named(pwd.getpwuid(owner.st_uid).pw_name)
        except KeyError:
            return cls(str(owner.st_uid), owner.st_uid, owner.st_gid, (owner.st_gid,))

    def may_enter(self, path: Path) -> bool:
        """Return whether the mode bits let this user search the directory or execute the file."""
        info = path.stat()
        if info.st_uid == self.uid:
            return bool(info.st_mode & stat.S_IXUSR)
        if info.st_gid == self.gid or info.st_gid in self.groups:
            return bool(info.st_mode & stat.S_IXGRP)
        return bool(info.st_mode & stat.S_IXOTH)

    def barrier(self, path: Path) -> Path | None:
        """Return the outermost directory or file on the way to `path` that this user cannot enter, or None."""
        return next((step for step in (*reversed(path.parents), path) if not self.may_enter(step)), None)


def serving_account(cluster: Path, run_as: str | None) -> Account | None:
    """Return the user to run the servers as, or None for the current user unless that is root.

    For root it is the owner of existing data; for new data it is `run_as` or, if that is not set, `postgres` or
    `nobody`. Raises Invalid when there is no such user, or it is root itself.
    """
    if os.geteuid() != 0:
        return None
    account = Account.owning(cluster) if (cluster / "PG_VERSION").exists() else _chosen(run_as)
    if account.uid == 0:
        raise Invalid("PostgreSQL refuses to run as root: set TRAILGATE_RUN_AS to another user that owns the data")
    return account


def _chosen(run_as: str | None) -> Account:
    for name in (run_as,) if run_as else _FALLBACKS:
        try:
            return Account.named(name)
        except KeyError:
            continue
    wanted = run_as or " or ".join(_FALLBACKS)
    raise Invalid(f"no user {wanted} on this machine: set TRAILGATE_RUN_AS to an unprivileged user")
