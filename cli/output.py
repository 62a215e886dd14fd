"""The output of commands: tables for terminals, tab-separated lines for pipes, control characters escaped."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text


def say(text: str = "") -> None:
    """Print a line on standard output and flush it, so that a pipe does not delay it."""
    print(text, flush=True)


def say_styled(*parts: str | tuple[str, str]) -> None:
    """Print a line like `say`, of texts and (text, style); a pipe and NO_COLOR get no colours."""
    Console().print(Text.assemble(*parts), soft_wrap=True)


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
    """Print a table on a terminal, otherwise a heading and rows of tab-separated values.

    Ids must stay whole to be copied: if a word of the table would have to be broken, each value gets a line of its own.
    """
    lines = [[printable(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *lines):
            say("\t".join(line))
        return
    console = Console()
    shown = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for line in lines:
        shown.add_row(*map(Text, line))
    unlimited = console.options.update(max_width=sys.maxsize)
    if Measurement.get(console, unlimited, shown).minimum <= console.width:
        console.print(shown)
    else:
        _print_records(console, columns, lines)


def _print_records(console: Console, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    width = max(map(len, columns))
    for line in lines:
        for column, value in zip(columns, line, strict=True):
            console.print(Text.assemble((f"{column:<{width}}", "bold"), "  ", value), soft_wrap=True)
        console.print()


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal. The yielded function takes the amount done; `total` None means unknown."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as `1 finding` or `2 entries`; `plural` is for nouns that do not add an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
