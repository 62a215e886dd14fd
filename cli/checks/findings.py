"""The findings of `trailgate doctor`: one line per check, with advice when something is wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"
    """It works, but needs attention."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """The result of one check. `found` is a sentence without its full stop; `advice` is empty when all is well."""

    check: str
    level: Level
    found: str
    advice: str = ""


def ok(check: str, found: str) -> DoctorFinding:
    """Return a finding that all is well."""
    return DoctorFinding(check, Level.OK, found)


def warn(check: str, found: str, advice: str) -> DoctorFinding:
    """Return a finding that something works, but needs attention."""
    return DoctorFinding(check, Level.WARN, found, advice)


def fail(check: str, found: str, advice: str) -> DoctorFinding:
    """Return a finding that something is broken, or will be soon."""
    return DoctorFinding(check, Level.FAIL, found, advice)
