"""The `trailgate` command: every subcommand, and how expected failures are told."""

import os
import sys
from typing import NoReturn

import asyncpg
import typer
from sqlalchemy.exc import DBAPIError

from cli.backup import backup, restore
from cli.doctor import doctor
from cli.identity import keys, organisations
from cli.inbox import inbox
from cli.ledger import verify
from cli.outbox import outbox
from cli.output import note
from cli.processes import api, worker
from cli.rebuild import rebuild
from cli.schema import migrate, openapi, settings
from cli.sweep import sweep
from cli.up import up
from domain.errors import TrailgateError
from storage.database import UNREACHABLE
from storage.keys import UnusableKey
from storage.services import NotConfigured

FAILED = 2
"""The exit status of a command that could not do its work; 1 is the answer "no" of `verify` and `migrate --check`."""

app = typer.Typer(
    name="trailgate",
    help="Keeps the evidence of software delivery.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (up, api, worker, migrate, openapi, verify, rebuild, backup, restore, settings, doctor):
    app.command()(command)
app.add_typer(keys, name="keys")
app.add_typer(organisations, name="organisations")
app.add_typer(inbox, name="inbox")
app.add_typer(outbox, name="outbox")
app.add_typer(sweep, name="sweep")

_NOT_MIGRATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)
_EXPECTED = (
    *(TrailgateError, UnusableKey, NotConfigured, UnicodeError),
    *(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError),
)


def main() -> None:
    """Run the command line of this process."""
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains while it ends
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except _EXPECTED as error:
        _fail(_explained(error))


def _fail(message: str) -> NoReturn:
    note(f"trailgate: {message}")
    sys.exit(FAILED)


def _explained(error: Exception) -> str:
    """What happened and what to do next, for an error that is nobody's bug."""
    if isinstance(error, (TrailgateError, UnusableKey, NotConfigured)):
        return str(error)
    if isinstance(error, _NOT_MIGRATED):
        return f"This database has another schema than this version ({error}): run `trailgate migrate`."
    if isinstance(error, UnicodeError):
        return "An argument or file is not valid UTF-8."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, UNREACHABLE):
        reason = str(error) or type(error).__name__
        return f"The database cannot be reached ({reason}): check TRAILGATE_DATABASE_URL, or run `trailgate up`."
    return f"The database refused: {error.orig if isinstance(error, DBAPIError) else error}"
