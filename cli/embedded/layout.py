"""The folders of the embedded servers: paths, owners, modes, and the place of the sockets."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cli.embedded.account import Account
from domain.errors import Conflict, Invalid
from storage.settings import default_data_dir

# sockaddr_un holds 104 bytes on macOS and 108 on Linux; the longest name in the folder is PostgreSQL's lock file.
_SOCKET_BUDGET = 100
_LONGEST_SOCKET = ".s.PGSQL.5432.lock"
# Characters with a special meaning in PostgreSQL's list of directories or a client's list of hosts.
_SEPARATORS = frozenset(',:"\\')


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders in one data directory. `account` owns the folders of the servers; None means the current user."""

    root: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return self.root / "postgres"

    @property
    def version(self) -> Path:
        """The file that names PostgreSQL's major version, in every complete cluster."""
        return self.cluster / "PG_VERSION"

    @property
    def cache(self) -> Path:
        """Valkey's working directory; its contents may be deleted."""
        return self.root / "valkey"

    @property
    def logs(self) -> Path:
        """One log file per child."""
        return self.root / "logs"

    @property
    def holder(self) -> Path:
        """What the holder of the lock notes about itself (`cli.running`)."""
        return self.root / "holder.json"

    @property
    def binaries(self) -> Path:
        """Copies of server programs that `account` cannot execute where they are installed."""
        return self.root / "binaries"

    @property
    def sockets(self) -> Path:
        """The folder `run` in the data directory, or a private folder in the system's temporary folder.

        The latter is used when the path of the former is too long for a socket's address, or has characters that
        separate hosts in a connection URL. Raises Invalid when neither path is usable.
        """
        inside = self.root / "run"
        if _fits(inside):
            return inside
        owner = self.account.uid if self.account else os.geteuid()
        digest = sha256(os.fsencode(self.root)).hexdigest()[:12]
        for shared in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - `private_folder` checks an existing folder
            candidate = Path(shared).resolve() / f"trailgate-{owner}-{digest}"
            if _fits(candidate) and not (self.account and self.account.barrier(candidate.parent)):
                return candidate
        raise Invalid(f"no folder with a path short enough for sockets: {self.root} and the temporary folder are not")

    def create(self) -> None:
        """Create missing folders; never change the mode of an existing one.

        Raises Invalid when the account cannot enter a parent folder, or a folder belongs to somebody else.
        """
        if self.account and (barrier := self.account.barrier(self.root)):
            raise Invalid(
                f"user {self.account.name}, who runs the servers, cannot pass {barrier}: choose another data "
                f"directory, such as the default {default_data_dir()}, or `chmod o+x {barrier}` yourself"
            )
        self.logs.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.cache, self.sockets):
            private_folder(folder, self.account)


def create_root(root: Path, *, passable: bool) -> None:
    """Create the data directory and its missing parents with mode 0700, or 0711 if `passable` by other users.

    Raises Invalid when the file system refuses.
    """
    for folder in (*reversed(root.parents), root):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise Invalid(f"cannot create the data directory {root}: {folder}: {error.strerror}") from error
        folder.chmod(0o711 if passable else 0o700)
    if not root.is_dir():
        raise Invalid(f"the data directory {root} is not a directory")


def private_folder(folder: Path, account: Account | None) -> None:
    """Create a folder that only its owner can enter, or check an existing one.

    Raises Invalid for a symbolic link, another owner or a wider mode: in a shared folder, others may have created it.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise Invalid(f"cannot create {folder}: {error.strerror}") from error
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or stat.S_IMODE(info.st_mode) & 0o077:
        raise Invalid(f"{folder} must be a directory of mode 0700")
    if account and info.st_uid == os.geteuid():  # created just now, or by a start that was killed before this line
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    elif account and info.st_uid != account.uid:
        raise Invalid(f"{folder} belongs to user {info.st_uid}, the servers run as user {account.uid}")


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Lock the data directory; the kernel releases the lock when this process ends for any reason.

    Raises Conflict when another process holds the lock.
    """
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        advice = "stop it, or set TRAILGATE_DATA_DIR and TRAILGATE_PORT for a second installation"
        raise Conflict(f"another `trailgate up` runs on {root}: {advice}", "state") from None
    else:
        yield
    finally:
        os.close(handle)


def in_use(root: Path) -> bool:
    """Return whether a process holds the lock of the data directory."""
    try:
        with locked(root):
            return False
    except Conflict:
        return True
    except FileNotFoundError:
        return False


def _fits(folder: Path) -> bool:
    # This rejects bytes that are not UTF-8 too, which a URL for asyncpg cannot contain.
    path = str(folder / _LONGEST_SOCKET)
    return len(os.fsencode(path)) <= _SOCKET_BUDGET and path.isprintable() and not _SEPARATORS & set(path)
