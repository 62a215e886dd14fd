"""Check the files of an installation: its keys, and the folders it writes to. Nothing is created or changed."""

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import SecretStr

from cli.checks.findings import DoctorFinding, fail, ok, warn
from storage.keys import UnusableKey, load_master_keys, load_signer, master_key_file, signing_key_file
from storage.settings import Settings

_FULL = 100 * 2**20
"""Free bytes below which writes of PostgreSQL and uploads are about to fail."""
_MEBIBYTE = 2**20


def examine_files(settings: Settings) -> Iterator[DoctorFinding]:
    """Yield findings about the keys and the folders of evidence and published checkpoints."""
    yield _key("master key", settings.master_key, master_key_file(settings), lambda: load_master_keys(settings))
    yield _key("signing key", settings.signing_key, signing_key_file(settings), lambda: load_signer(settings))
    yield _folder("evidence", settings.blobs, settings.evidence_max_size)
    yield _folder("checkpoints", settings.checkpoints, _FULL)


def _key(check: str, setting: SecretStr | None, path: Path, load: Callable[[], object]) -> DoctorFinding:
    name = f"TRAILGATE_{check.replace(' ', '_').upper()}"
    if setting is None and not path.exists():
        advice = f"restore it, or set {name}; only the first start on an empty database creates one"
        return warn(check, f"{path} does not exist", advice)
    mode = 0 if setting else stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return fail(check, f"{path} has mode {mode:04o}: others can read it", f"chmod 600 {path}")
    try:
        load()
    except UnusableKey as error:
        return fail(check, str(error).rstrip("."), f"restore the key from your copy, or correct {name}")
    except OSError as error:
        return fail(check, f"{path} cannot be read: {error.strerror}", "run this as the user who runs the API")
    return ok(check, f"set by {name}" if setting else f"{path}, only accessible to its owner")


def _folder(check: str, folder: Path, wanted: int) -> DoctorFinding:
    """Check that a folder can be written to and that `wanted` bytes are free."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0")
            file.flush()
        free = shutil.disk_usage(place).free
    except OSError as error:
        advice = "make it writable for the user who runs the API and the worker, or free disk space"
        return fail(check, f"{place} cannot be written to: {error.strerror}", advice)
    found = f"{folder} can be written to, {free // _MEBIBYTE:,} MiB are free"
    if free < _FULL:
        return fail(check, found, "free disk space: the next writes will fail")
    if free < wanted:
        return warn(check, found, f"free disk space: the largest accepted file has {wanted // _MEBIBYTE:,} MiB")
    return ok(check, found)
