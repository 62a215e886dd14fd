"""The output of commands: tables for terminals, tab-separated lines for pipes, control characters escaped."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text


def say(text: str = "") -> None:
    """Print a line on standard output and flush it, so that a pipe does not delay it."""
    print(text, flush=True)


def note(text: str) -> None:
    """Print a line for people on standard error, where a pipe does not read it."""
    print(text, file=sys.stderr, flush=True)


def printable(value: object) -> str:
    """Return a stored value as one line, with control characters escaped that could manipulate the terminal."""
    if value is None:
        return ""
    text = value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on a terminal, otherwise a heading and rows of tab-separated values."""
    if not sys.stdout.isatty():
        say("\t".join(columns))
        for row in rows:
            say("\t".join(map(printable, row)))
        return
    shown = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        shown.add_row(*(Text(printable(value), overflow="fold") for value in row))
    Console().print(shown)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal. The yielded function takes the amount done; `total` None means unknown."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
