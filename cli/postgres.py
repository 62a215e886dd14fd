"""Run PostgreSQL's own programs, pg_dump and pg_restore, on a database."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from cli.embedded.binaries import client_program
from cli.installation import read_settings
from domain.errors import Unavailable
from storage.settings import environment

_TAIL = 2000
_POLL = 0.2
_MEBIBYTE = 2**20


def dump_database(url: str, path: Path, advance: Callable[[int], None]) -> None:
    """Write a dump in pg_dump's custom format; call `advance` with the mebibytes so far. Raises Unavailable."""
    with _running("pg_dump", url, ["--format=custom", "--lock-wait-timeout=30s", f"--file={path}"]) as process:
        while process.poll() is None:
            time.sleep(_POLL)
            if path.exists():
                advance(path.stat().st_size // _MEBIBYTE)


def load_dump(url: str, dump: Iterator[bytes], advance: Callable[[int], None]) -> None:
    """Load a dump into an empty database in one transaction. Raises Unavailable."""
    done = 0
    with _running("pg_restore", url, ["--single-transaction", "--exit-on-error"]) as process:
        if process.stdin is None:
            raise RuntimeError("pg_restore was started without a pipe")
        try:
            for piece in dump:
                process.stdin.write(piece)
                done += len(piece)
                advance(done // _MEBIBYTE)
            process.stdin.close()
        except BrokenPipeError:
            return  # it has ended, and its status says why


@contextmanager
def _running(
    program: Literal["pg_dump", "pg_restore"], url: str, options: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program during the block and wait for its success. Raises Unavailable with the end of its output."""
    address, secret = _without_password(url)
    tool = client_program(program, read_settings().postgres_bin)
    words: list[str | Path] = [tool, "--no-owner", "--no-privileges", "--no-password", f"--dbname={address}", *options]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            words,
            env={**_without_settings(environment()), **secret},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            yield process
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            _close(process.stdin)
        if status != 0:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            raise Unavailable(f"{program} failed:\n{log.read().decode(errors='replace').strip()}")


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:
        return


def _without_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without Trailgate's settings, which hold secrets; those of libpq stay."""
    return {name: value for name, value in variables.items() if not name.startswith("TRAILGATE_")}


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL without its password, and the password as libpq's variable: all users can read command lines."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    password = query.pop("password", None) or (unquote(parts.password) if parts.password else None)
    user, at, host = parts.netloc.rpartition("@")
    address = parts._replace(netloc=user.partition(":")[0] + at + host, query=urlencode(query)).geturl()
    return address, {"PGPASSWORD": password} if password else {}
