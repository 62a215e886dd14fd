"""`trailgate backup` and `restore`: the database, its evidence and published checkpoints, and optionally the keys."""

import asyncio
import base64
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli.archive import BLOBS, CHECKPOINTS, DUMP, KEYS, TRUSTED_KEYS, Archive, open_archive, write_archive
from cli.installation import located, opened, read_settings
from cli.ledger import inspect_ledgers
from cli.output import counted, note, progress, say
from cli.postgres import dump_database, load_dump
from cli.schema import database_url, report_differences
from domain.errors import Conflict, Invalid
from storage.blobs.store import SHARDS, BlobStore
from storage.keys import add_trusted_key, trusted_keys_file
from storage.settings import Settings

_KEY_NAMES = ("master", "signing")

_USED = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write; an existing file is replaced.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Include the master and signing keys; keep the archive secret.")
    ] = False,
) -> None:
    """Write the database, evidence and published checkpoints into one archive; the service may keep running."""
    _refuse_place(file)
    with located(read_settings()) as settings, _draft_folder(file) as folder:
        # Copied before the dump, so that the restored ledger contains everything these checkpoints cover.
        members = _copied_checkpoints(settings, folder)
        dump = folder / DUMP
        with progress("dumping (MiB)") as advance:
            dump_database(database_url(settings), dump, advance)
        members[DUMP] = dump
        evidence = _evidence_files(settings)  # after the dump: a file is stored before the row that refers to it
        keys = _key_files(settings) if with_keys else {}
        draft = folder / "archive"
        write_archive(draft, members | evidence | keys | _trusted_keys(settings))
        replaced = "replaced, " if file.exists() else ""
        draft.replace(file)
        _sync(file.parent)
    say(
        f"{file}: {replaced}{file.stat().st_size} bytes, {counted(len(evidence), 'evidence file')}, published "
        f"checkpoints of {counted(len(members) - 1, 'ledger')}, {counted(len(keys), 'key')}"
    )
    if not with_keys:
        note(f"The archive does not contain the keys: back up {settings.keys_dir} elsewhere, or use --with-keys.")


def _refuse_place(file: Path) -> None:
    """Raise Invalid when the archive cannot be put there, before the database is dumped."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise Invalid(f"The folder {folder} does not exist: create it.")
    if file.is_dir():
        raise Invalid(f"{file} is a folder: name a file in it.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Invalid(f"You may not write into the folder {folder}: choose another.")


@contextmanager
def _draft_folder(file: Path) -> Iterator[Path]:
    """Yield a temporary folder on the archive's file system, so that a rename can put the archive in place."""
    with tempfile.TemporaryDirectory(prefix=".trailgate-backup-", dir=file.absolute().parent) as folder:
        yield Path(folder)


def _copied_checkpoints(settings: Settings, folder: Path) -> dict[str, Path]:
    copies: dict[str, Path] = {}
    for published in sorted(settings.checkpoints.glob("*.checkpoints")):
        copies[CHECKPOINTS + published.name] = Path(shutil.copy(published, folder))
    return copies


def _evidence_files(settings: Settings) -> dict[str, Path]:
    store = BlobStore(settings.blobs)
    digests = (digest for shard in SHARDS for digest in store.objects(shard))
    return {BLOBS + digest.removeprefix("sha256:"): store.path(digest) for digest in digests}


def _key_files(settings: Settings) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for name in _KEY_NAMES:
        path = settings.keys_dir / f"{name}.key"
        if getattr(settings, f"{name}_key") is not None:
            note(f"The {name} key comes from TRAILGATE_{name.upper()}_KEY and is not in the archive.")
        elif not path.exists():
            note(f"There is no {path}: the {name} key is not in the archive.")
        else:
            files[f"{KEYS}{path.name}"] = path
    return files


def _trusted_keys(settings: Settings) -> dict[str, Path]:
    """Return the file of public keys, which old checkpoints need; it is no secret."""
    path = trusted_keys_file(settings)
    return {TRUSTED_KEYS: path} if path.exists() else {}


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def restore(
    file: Annotated[Path, typer.Argument(help="An archive of `trailgate backup`, from a trusted source.")],
) -> None:
    """Load an archive into an empty database, then check the schema and the ledger. Status 1 if a check fails.

    The database executes the SQL of the archive's dump: an archive of unknown origin can do anything there.
    """
    settings = read_settings()
    with open_archive(file) as archive:
        _refuse_other_keys(settings, archive)
        with located(settings, create=True) as settings:
            asyncio.run(_refuse_used(settings))
            _keep_keys(settings, archive)
            _keep_trusted_keys(settings, archive)
            _keep_checkpoints(settings, archive)
            _keep_evidence(settings, archive)
            with progress("loading (MiB)") as advance:
                load_dump(database_url(settings), archive.stream(DUMP), advance)
            say("The archive is loaded.")
            asyncio.run(_analyze(settings))
            report_differences(settings)
            if not asyncio.run(_sound(settings)):
                raise typer.Exit(1)


def _refuse_other_keys(settings: Settings, archive: Archive) -> None:
    for name in set(archive.names(KEYS)) - {TRUSTED_KEYS}:
        path = settings.data_dir / name
        if path.exists() and path.read_bytes() != archive.read(name):
            raise Conflict(f"{path} differs from the key in the archive: move it away, or use another data directory.")


async def _refuse_used(settings: Settings) -> None:
    async with opened(settings) as database, database.read() as reader:
        if await reader.value(_USED):
            raise Conflict(
                "The database is not empty, and a backup can only be restored into an empty one: use another "
                "TRAILGATE_DATA_DIR, or create a database for TRAILGATE_DATABASE_URL."
            )


def _keep_keys(settings: Settings, archive: Archive) -> None:
    """Write missing keys before the dump is loaded, so that an interrupted restore can be repeated."""
    for name in _KEY_NAMES:
        path = settings.keys_dir / f"{name}.key"
        member = f"{KEYS}{name}.key"
        if getattr(settings, f"{name}_key") is not None or path.exists():
            continue
        if member in archive.members:
            _write(path, archive.stream(member))
        else:
            note(f"The archive has no {name} key: put yours at {path} before you start anything.")


def _keep_trusted_keys(settings: Settings, archive: Archive) -> None:
    for public_key in archive.read(TRUSTED_KEYS).split() if TRUSTED_KEYS in archive.members else ():
        add_trusted_key(settings, base64.b64decode(public_key, validate=True))


def _keep_evidence(settings: Settings, archive: Archive) -> None:
    """Write missing evidence before the dump is loaded: as with uploads, a file is stored before its row."""
    store = BlobStore(settings.blobs)
    store.prepare()
    names = archive.names(BLOBS)
    with progress("evidence files", len(names)) as advance:
        for place, name in enumerate(names):
            digest = f"sha256:{name.removeprefix(BLOBS)}"
            if not store.path(digest).exists():
                staged = store.staging / f"restore-{os.getpid()}"
                staged.unlink(missing_ok=True)
                _write(staged, archive.stream(name))
                _check_digest(staged, digest)
                asyncio.run(store.promote(staged, digest))
            advance(place + 1)


def _check_digest(staged: Path, digest: str) -> None:
    with staged.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if f"sha256:{found}" != digest:
        staged.unlink()
        raise Invalid(f"The archive is damaged: the evidence file {digest} has another digest.")


def _keep_checkpoints(settings: Settings, archive: Archive) -> None:
    """Write missing checkpoint files, against which the ledger is verified.

    An existing file is kept: it may be newer than the archive.
    """
    for name in archive.names(CHECKPOINTS):
        path = settings.checkpoints / name.removeprefix(CHECKPOINTS)
        if not path.exists():
            _write(path, archive.stream(name))


def _write(path: Path, content: Iterable[bytes]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())


async def _analyze(settings: Settings) -> None:
    async with opened(settings) as database:
        await database.analyze()


async def _sound(settings: Settings) -> bool:
    async with opened(settings) as database:
        return await inspect_ledgers(settings, database)
