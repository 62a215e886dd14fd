"""What commands print."""

from datetime import UTC, datetime

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


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("working", 3) as advance:
        advance(1)
        advance(3)
    assert capsys.readouterr() == ("", "")
