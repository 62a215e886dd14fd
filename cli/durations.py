"""Durations in options of commands."""

import re
from datetime import timedelta

import typer

_DURATION = re.compile(r"([1-9]\d{0,3})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(option: str, text: str) -> timedelta:
    """Parse the value of an option, such as 90m or 30d. Raises BadParameter, which names the option."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{option}: {text!r} is not a duration like 90m, 12h, 30d or 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
