"""What commands print: tables for people, tab-separated lines for pipes, and nothing that a terminal would obey."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text


def say(text: str = "") -> None:
    """A line on standard output, at once: a pipe must not hold back what a user waits for."""
    print(text, flush=True)


def note(text: str) -> None:
    """A line for the person, kept out of what a pipe reads."""
    print(text, file=sys.stderr, flush=True)


def printable(value: object) -> str:
    """A stored value as one line; what senders put into it must not move the cursor or rename the window."""
    if value is None:
        return ""
    text = value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on a terminal, else a heading and rows of tab-separated values."""
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
    """A bar on a terminal, nothing elsewhere. The yielded function takes how much is done; no total = unknown."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
