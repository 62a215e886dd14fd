"""The `trailgate` command: its subcommands, and the messages of expected failures."""

import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
from sqlalchemy.exc import DBAPIError
from typer.main import get_command

from cli.backup import backup, restore
from cli.doctor import doctor
from cli.identity import keys, organisations
from cli.inbox import inbox
from cli.installation import ROOT, chosen_data_dir
from cli.ledger import verify
from cli.outbox import outbox
from cli.output import note, say
from cli.processes import api, worker
from cli.quotas import limits
from cli.rebuild import rebuild
from cli.roles import roles
from cli.schema import migrate, openapi, settings
from cli.secrets import secrets
from cli.seed import seed
from cli.snapshot import snapshot
from cli.sweep import sweep
from cli.up import up
from cli.users import users
from cli.vsa import verify_vsa
from domain.errors import TrailgateError
from storage.database import UNREACHABLE
from storage.keys import UnusableKey
from storage.services import NotConfigured

FAILED = 2
"""The exit status of a command that could not run; 1 is a negative result, of `verify` or `migrate --check`."""

app = typer.Typer(
    name="trailgate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (up, api, worker, migrate, openapi, verify, rebuild, backup, restore, settings, roles, seed, doctor):
    app.command()(command)
app.command()(verify_vsa)
organisations.command()(limits)
app.add_typer(keys, name="keys")
app.add_typer(organisations, name="organisations")
app.add_typer(users, name="users")
app.add_typer(inbox, name="inbox")
app.add_typer(outbox, name="outbox")
app.add_typer(sweep, name="sweep")
app.add_typer(secrets, name="secrets")
app.add_typer(snapshot, name="snapshot")


def _show_version(wanted: bool) -> None:
    if wanted:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        say(f"trailgate {project['version']}")
        raise typer.Exit


def _choose_data_dir(context: typer.Context, given: Path | None) -> None:
    """Keep the option nearest to the command; its absence at the top level resets the choice."""
    if given == Path():  # as for an unset variable in --data-dir "$DIR"
        raise typer.BadParameter("give the path of a folder; neither an empty text nor '.' is one")
    if given is not None or context.parent is None:
        chosen_data_dir.set(given)


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    _data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            callback=_choose_data_dir,
            expose_value=False,
            help="Folder of databases, keys and logs, instead of TRAILGATE_DATA_DIR.",
        ),
    ] = None,
) -> None:
    """Keep the evidence of software delivery."""


def command_line() -> Callable[[], Any]:
    """Return the command with its subcommands, all of which take the option `--data-dir`."""
    root = get_command(app)
    [data_dir] = [option for option in root.params if option.name == "_data_dir"]
    pending = [root]
    while pending:
        for inner in getattr(pending.pop(), "commands", {}).values():
            inner.params.append(data_dir)
            pending.append(inner)
    return root


_NOT_MIGRATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)
_EXPECTED = (
    *(TrailgateError, UnusableKey, NotConfigured, UnicodeError),
    *(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError),
)


def main() -> None:
    """Run the command line of this process."""
    try:
        command_line()()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # avoids an error message at exit
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except _EXPECTED as error:
        _fail(_explained(error))


def _fail(message: str) -> NoReturn:
    note(f"trailgate: {message}")
    sys.exit(FAILED)


def _explained(error: Exception) -> str:
    """Return what happened and what to do next, for an expected error."""
    if isinstance(error, (TrailgateError, UnusableKey, NotConfigured)):
        return str(error)
    if isinstance(error, _NOT_MIGRATED):
        return f"The schema of the database is not that of this version ({error}): run `trailgate migrate`."
    if isinstance(error, UnicodeError):
        return "An argument or file is not valid UTF-8."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, UNREACHABLE):
        reason = str(error) or type(error).__name__
        return f"The database cannot be reached ({reason}): check TRAILGATE_DATABASE_URL, or run `trailgate up`."
    return f"The database reported an error: {error.orig if isinstance(error, DBAPIError) else error}"
