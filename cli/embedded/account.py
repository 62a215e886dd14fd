"""Which operating-system user the servers run as, and whether that user can get at a path.

PostgreSQL refuses to run as root. When we are root the servers run as somebody else, who has to pass every directory
above the data; opening those directories is the operator's decision, never ours.
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
        """The owner of a path, also when the owner has left the passwd file."""
        owner = path.stat()
        try:
            return cls.named(pwd.getpwuid(owner.st_uid).pw_name)
        except KeyError:
            return cls(str(owner.st_uid), owner.st_uid, owner.st_gid, (owner.st_gid,))

    def may_enter(self, path: Path) -> bool:
        """Whether the mode bits let this user search the directory or execute the file."""
        info = path.stat()
        if info.st_uid == self.uid:
            return bool(info.st_mode & stat.S_IXUSR)
        if info.st_gid == self.gid or info.st_gid in self.groups:
            return bool(info.st_mode & stat.S_IXGRP)
        return bool(info.st_mode & stat.S_IXOTH)

    def barrier(self, path: Path) -> Path | None:
        """The outermost directory or file on the way to `path` that stops this user, or None."""
        return next((step for step in (*reversed(path.parents), path) if not self.may_enter(step)), None)


def serving_account(cluster: Path, run_as: str | None) -> Account | None:
    """Choose the user for the servers: None (stay as we are) unless we are root.

    Root serves existing data as its owner, new data as `run_as`, else `postgres`, else `nobody`.
    Raises Invalid when that leaves nobody or root itself.
    """
    if os.geteuid() != 0:
        return None
    account = Account.owning(cluster) if (cluster / "PG_VERSION").exists() else _chosen(run_as)
    if account.uid == 0:
        raise Invalid("PostgreSQL refuses to run as root: set TRAILGATE_RUN_AS to another user, who owns the data")
    return account


def _chosen(run_as: str | None) -> Account:
    for name in (run_as,) if run_as else _FALLBACKS:
        try:
            return Account.named(name)
        except KeyError:
            continue
    wanted = run_as or " or ".join(_FALLBACKS)
    raise Invalid(f"no user {wanted} on this machine: set TRAILGATE_RUN_AS to an unprivileged user")
