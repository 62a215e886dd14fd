"""Reading the file of an upload: one module, or a zip or tar.gz archive of modules and data documents.

Archives are read in memory, never unpacked to files. Of their members, `.rego` files are modules, and `.json` files are
data: the document is placed where its folder says, as in OPA's bundles. Hidden files, such as `.manifest`, and files of
other kinds are left out.
"""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from domain.errors import Invalid, TooLarge
from domain.gates.rego import MAX_BUNDLE, Module, Source, checked_source
from integrations.formats.json_files import parse_json
from integrations.formats.parsed import Unreadable

MAX_ARCHIVE = MAX_BUNDLE
MAX_UNPACKED = 4 * MAX_BUNDLE
"""Bytes of an archive, and of the tar file in it, which also has members that are not used."""
MAX_MEMBERS = 1000
MAX_NAME = 200
MAX_DEPTH = 16
"""Characters of a member's name, and its folders."""
MAX_LEVELS = 64
"""Levels of a data document, as of a request."""

_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
_BOM = "\ufeff"


def read_source(path: Path, file_name: str) -> Source:
    """Return the modules and the data document of an uploaded file. Raises TooLarge, and Invalid naming the member."""
    if path.stat().st_size > MAX_ARCHIVE:
        raise TooLarge(f"file: has more than {MAX_ARCHIVE:,} bytes")
    content = path.read_bytes()
    try:
        if content.startswith(_ZIP):
            return _source(_zipped(content))
        if content.startswith(_GZIP):
            return _source(_tarred(content))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise Invalid.of("file", f"is not a readable archive: {error}") from None
    return checked_source([Module(file_name or "policy.rego", _text(file_name, content))], {})


def _zipped(content: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        _check_number(len(members))
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                continue
            if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
                raise _refused(member.orig_filename, "is encrypted, a link or no file")
            if _used(name := _checked_name(member.orig_filename)):
                with archive.open(member) as file:  # the size that the archive states may be wrong
                    yield name, file.read(MAX_BUNDLE + 1)


def _tarred(content: bytes) -> Iterator[tuple[str, bytes]]:
    with gzip.open(io.BytesIO(content)) as compressed:
        plain = compressed.read(MAX_UNPACKED + 1)
    if len(plain) > MAX_UNPACKED:
        raise TooLarge(f"file: has more than {MAX_UNPACKED:,} bytes when it is unpacked")
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
        for number, member in enumerate(archive, 1):
            _check_number(number)
            if member.isdir():
                continue
            if not member.isreg():
                raise _refused(member.name, "is a link or no file")
            if _used(name := _checked_name(member.name)):
                file = archive.extractfile(member)
                assert file is not None  # noqa: S101 - it is a file
                yield name, file.read()


def _check_number(members: int) -> None:
    if members > MAX_MEMBERS:
        raise TooLarge(f"file: has more than {MAX_MEMBERS:,} members")


def _checked_name(name: str) -> str:
    """Return the name of a member without `./` before it. Raises Invalid for one that leads out of the archive."""
    plain = name.removeprefix("./")
    parts = plain.split("/")
    if "\\" in plain or not plain.isprintable() or not {"", ".", ".."}.isdisjoint(parts):
        raise _refused(name, "has a name that is not a path inside the archive")
    if len(plain) > MAX_NAME or len(parts) > MAX_DEPTH:
        raise _refused(name, f"has a name of more than {MAX_NAME} characters or {MAX_DEPTH} folders")
    return plain


def _used(name: str) -> bool:
    """Whether a member is used. Raises Invalid for data that would be missed."""
    path = PurePosixPath(name)
    if path.name in {"data.yaml", "data.yml"}:
        raise _refused(name, "is YAML: give data as JSON")
    return path.suffix in {".rego", ".json"} and not path.name.startswith(".")


def _source(members: Iterator[tuple[str, bytes]]) -> Source:
    modules: list[Module] = []
    data: dict[str, Any] = {}
    seen: set[str] = set()
    total = 0
    for name, content in members:
        if name in seen:
            raise _refused(name, "is there twice")
        seen.add(name)
        total += len(content)
        if total > MAX_BUNDLE:
            raise TooLarge(f"file: the modules and data have more than {MAX_BUNDLE:,} bytes")
        if name.endswith(".rego"):
            modules.append(Module(name, _text(name, content)))
        else:
            _place(data, name, content)
    return checked_source(modules, data)


def _place(data: dict[str, Any], name: str, content: bytes) -> None:
    try:
        document = parse_json(content)
    except Unreadable as error:
        raise _refused(name, f"cannot be read: {error}") from None
    if b"\\u0000" in content or _levels(document) > MAX_LEVELS:
        raise _refused(name, f"has a NUL character, or more than {MAX_LEVELS} levels")
    for part in reversed(PurePosixPath(name).parent.parts):
        document = {part: document}
    if not isinstance(document, dict):
        raise _refused(name, "is not a JSON object")
    _merge(data, document, name)


def _levels(document: Any) -> int:
    levels, layer = 0, [document]
    while layer:
        levels += 1
        nested = [one.values() if isinstance(one, dict) else one for one in layer if isinstance(one, dict | list)]
        layer = [item for items in nested for item in items]
    return levels


def _merge(data: dict[str, Any], more: Mapping[str, Any], name: str) -> None:
    for key, value in more.items():
        here = data.setdefault(key, value)
        if here is value:
            continue
        if not isinstance(here, dict) or not isinstance(value, dict):
            raise _refused(name, f"has a value for {key!r}, as another document has")
        _merge(here, value, name)


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode().removeprefix(_BOM)
    except UnicodeDecodeError:
        raise _refused(name, "is not UTF-8 text") from None


def _refused(name: str, reason: str) -> Invalid:
    return Invalid.of("file", f"the member {name[:MAX_NAME]!r} {reason}")
