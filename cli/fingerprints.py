"""The SHA-256 of a file or a folder, the same on every machine and for every order of the entries on disk.

A file has the SHA-256 of its content. A folder has the SHA-256 of a list with a line for each file and each symbolic
link below it, sorted by the bytes of their paths:

    SHA-256 of the content, two spaces, ./path/to/file, line feed
    SHA-256 of the link's text, a space, @, ./path/to/link, line feed

This is what `sha256sum` prints: in a folder without symbolic links, `find . -type f -print0 | LC_ALL=C sort -z |
xargs -0 sha256sum | sha256sum` gives the same. As there, a line begins with a backslash if its path has a backslash, a
line feed or a carriage return, which are then written as two characters. Links are not followed; only the path that is
given may be one. Folders themselves, also empty ones, modes, owners and times do not count.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from domain.errors import Invalid

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Neither follows a link nor waits for a writer, should the entry have been replaced since it was listed."""
_ANY_FOLDERS = "**"

Pattern = Sequence[str]
"""A pattern of paths, by the names between the slashes."""


class Tracked(BaseModel):
    """A file or folder that counts as an artifact. `exclude` are patterns of paths below the folder."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: Annotated[str, StringConstraints(min_length=1)]
    exclude: list[str] = []


class PathsFile(BaseModel):
    """The files and folders that count as artifacts, by name, as Kosli's paths file lists them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[1]
    artifacts: Annotated[dict[str, Tracked], Field(min_length=1)]


def fingerprint(tracked: Tracked, hashed: Callable[[], None]) -> str:
    """Return the digest of a file or folder in its stored form; `hashed` is called for each file.

    Raises Invalid for a device, socket or pipe, and OSError.
    """
    root = Path(os.path.realpath(tracked.path))
    if not stat.S_ISDIR(root.stat().st_mode):
        digest = _content(root)
        hashed()
        return f"sha256:{digest}"
    listing = sha256()
    for path in sorted(_entries(root, [_pattern(text) for text in tracked.exclude]), key=os.fsencode):
        listing.update(_line(root, path))
        hashed()
    return f"sha256:{listing.hexdigest()}"


def _entries(root: Path, exclude: Sequence[Pattern]) -> Iterator[str]:
    """Yield the paths below the folder of everything but folders, in any order."""
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = folder + entry.name
                names = path.split("/")
                if any(_matches(pattern, names) for pattern in exclude):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{path}/")
                else:
                    yield path


def _line(root: Path, path: str) -> bytes:
    whole = root / path
    is_link = whole.is_symlink()
    digest = sha256(_target(whole)).hexdigest() if is_link else _content(whole)
    name = os.fsencode(f"./{path}")
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b" @" if is_link else b"  "
    return (b"\\" if escaped != name else b"") + digest.encode() + mark + escaped + b"\n"


def _target(link: Path) -> bytes:
    """Return the text of a link as it is, which a Path would tidy up."""
    return os.fsencode(os.readlink(link))  # noqa: PTH115


def _content(path: Path) -> str:
    """Hash a file in pieces."""
    if stat.S_ISREG(path.lstat().st_mode):
        with os.fdopen(os.open(path, _OPEN), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file_digest(file, "sha256").hexdigest()
    raise Invalid(f"{path} is neither a file nor a folder nor a symbolic link: exclude it")


def _pattern(text: str) -> Pattern:
    return [name for name in text.split("/") if name not in ("", ".")]


def _matches(pattern: Pattern, path: Sequence[str]) -> bool:
    """Whether a pattern matches a whole path: `*`, `?` and `[…]` within a name, `**` for any number of folders."""
    places = _with_none(pattern, {0})
    for name in path:
        reached = {
            place if pattern[place] == _ANY_FOLDERS else place + 1
            for place in places
            if place < len(pattern) and (pattern[place] == _ANY_FOLDERS or fnmatchcase(name, pattern[place]))
        }
        places = _with_none(pattern, reached)
    return len(pattern) in places


def _with_none(pattern: Pattern, places: set[int]) -> set[int]:
    """Add the places behind each `**`, as it may stand for no folder."""
    found = set(places)
    for place, name in enumerate(pattern):
        if place in found and name == _ANY_FOLDERS:
            found.add(place + 1)
    return found
