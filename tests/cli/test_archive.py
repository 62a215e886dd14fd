"""An archive is read as if a stranger had made it."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from cli.archive import DUMP, MANIFEST, MAX_KEY, open_archive, write_archive
from domain.errors import Invalid

CHECKPOINT = "checkpoints/0f8fad5b-d9cb-469f-a165-70867728950e.checkpoints"
BIG = b"d" * 3_000_000

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


def manifest(*members: Member, **fields: object) -> Member:
    digests = {info.name: sha256(content).hexdigest() for info, content in members}
    return member(MANIFEST, json.dumps({"members": digests, **fields}).encode())


def packed(path: Path, *members: Member) -> Path:
    with tarfile.open(path, "w:") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    for name, content in {"a": BIG, "b": b"note\n--\n", "c": b"key"}.items():
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "backup.tar"
    write_archive(path, {DUMP: tmp_path / "a", CHECKPOINT: tmp_path / "b", "keys/master.key": tmp_path / "c"})
    return path


def test_what_was_written_is_read_and_only_its_owner_can(sound: Path) -> None:
    assert sound.stat().st_mode & 0o777 == 0o600
    with open_archive(sound) as archive:
        assert archive.names("keys/") == ["keys/master.key"]
        assert archive.names("checkpoints/") == [CHECKPOINT]
        assert (archive.read(DUMP), archive.read("keys/master.key")) == (BIG, b"key")
    with tarfile.open(sound) as tar:
        assert {info.mode for info in tar} == {0o600}


def test_nothing_is_written_over(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        write_archive(sound, {DUMP: tmp_path / "a"})


DUMPED = member(DUMP, b"dump")
FOREIGN = {
    "a path upwards": member("../evil"),
    "an absolute path": member("/etc/passwd"),
    "a name with a path in it": member("checkpoints/../../evil.checkpoints"),
    "another key": member("keys/other.key"),
    "a name that ends in a line break": member(CHECKPOINT + "\n"),
    "a folder": member("keys", b"", tarfile.DIRTYPE),
    "a symbolic link": member("keys/master.key", b"", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": member("keys/master.key", b"", tarfile.LNKTYPE, DUMP),
    "a device": member("keys/master.key", b"", tarfile.CHRTYPE),
    "a second dump": DUMPED,
    "a key as large as a disk": member("keys/master.key", b"k" * (MAX_KEY + 1)),
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_members_that_are_not_ours_are_refused(tmp_path: Path, foreign: Member) -> None:
    path = packed(tmp_path / "x", DUMPED, foreign, manifest(DUMPED, foreign))
    with pytest.raises(Invalid, match="not a Trailgate backup"), open_archive(path):
        pass


def test_a_sparse_member_that_would_unfold_is_refused(tmp_path: Path) -> None:
    info, content = member(DUMP, b"")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": str(2**50),
        "GNU.sparse.name": DUMP,
    }
    content = b"1\n0\n0\n".ljust(512, b"\0")
    info.size = len(content)
    path = packed(tmp_path / "x", (info, content), manifest(DUMPED))
    with pytest.raises(Invalid, match="is not a plain file"), open_archive(path):
        pass


MANIFESTS: dict[str, Member] = {
    "none": member(CHECKPOINT, b""),
    "another format": manifest(DUMPED, format="trailgate-backup/2"),
    "an unknown field": manifest(DUMPED, extra=1),
    "no JSON": member(MANIFEST, b"{"),
    "no UTF-8": member(MANIFEST, b"\xff"),
    "deep JSON": member(MANIFEST, b"[" * 100_000),
    "a list": member(MANIFEST, b"[]"),
    "less than there is": manifest(),
    "more than there is": manifest(DUMPED, member(CHECKPOINT)),
    "another digest": manifest(member(DUMP, b"other")),
}


@pytest.mark.parametrize("listed", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests_that_do_not_fit_are_refused(tmp_path: Path, listed: Member) -> None:
    with pytest.raises(Invalid), open_archive(packed(tmp_path / "x", DUMPED, listed)):
        pass


def test_a_manifest_without_a_dump_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="dump is missing"), open_archive(packed(tmp_path / "x", manifest())):
        pass


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"hello",
    "zeros": lambda _: bytes(10_240),
    "compressed": gzip.compress,
    "a byte changed": lambda good: good[:600] + b"X" + good[601:],
    "a header changed": lambda good: good[:20] + b"X" + good[21:],
    "a size that is no number": lambda good: good[:124] + b"zzzzzzzzzzz\0" + good[136:],
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_is_no_archive_or_was_spoiled_is_refused(sound: Path, spoil: Callable[[bytes], bytes]) -> None:
    sound.write_bytes(spoil(sound.read_bytes()))
    with pytest.raises(Invalid), open_archive(sound):
        pass


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5, 0.9, 0.99])
def test_an_archive_cut_short_is_refused(sound: Path, share: float) -> None:
    whole = sound.read_bytes()
    sound.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Invalid), open_archive(sound):
        pass


def test_a_member_that_ends_early_is_noticed_while_it_is_read(sound: Path) -> None:
    """The file can be cut between the check and the use of a large member."""
    with open_archive(sound) as archive:
        with sound.open("r+b") as file:
            file.truncate(2_000_000)
        with pytest.raises((Invalid, tarfile.ReadError)):
            archive.read(DUMP)
