"""What commands print."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from cli import output


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (0, "0"),
        ("größe 数据", "größe 数据"),
        ("a\tb\nc\x1b[31m", "a\\tb\\nc\\x1b[31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\udcff", "\\udcff"),
        (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
    ],
)
def test_values_are_one_harmless_line(value: object, shown: str) -> None:
    assert output.printable(value) == shown


def test_a_pipe_gets_a_heading_and_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("A", "B"), [(1, None), ("x\ty", "z")])
    assert capsys.readouterr().out == "A\tB\n1\t\nx\\ty\tz\n"


def test_a_terminal_gets_columns_and_no_markup_is_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    output.table(("A", "B"), [("[red]x[/red]", "\x1b[2J")])
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "\\x1b[2J" in shown


@pytest.mark.parametrize("width", [20, 80, 120, 300])
def test_a_terminal_of_any_width_gets_whole_ids(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    ids = [uuid4() for _ in range(6)]
    output.table(("ID", "NAME", "DESTINATION", "ERROR"), [(a, "a name", b, "many words " * 20) for a, b in pairs(ids)])
    lines = capsys.readouterr().out.splitlines()
    assert all(any(str(one) in line for line in lines) for one in ids)
    assert ("DESTINATION" in lines[0]) is (width >= 120), "a table if it fits"


def pairs(values: list[UUID]) -> list[tuple[UUID, UUID]]:
    return list(zip(values[::2], values[1::2], strict=True))


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("working", 3) as advance:
        advance(1)
        advance(3)
    assert capsys.readouterr() == ("", "")
