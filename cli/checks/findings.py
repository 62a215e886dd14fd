"""What an examination says: one line per thing looked at, and what to do next where something is wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"
    """It works, and somebody should look."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One thing looked at. `found` is a whole sentence without its full stop; `advice` is empty when all is well."""

    check: str
    level: Level
    found: str
    advice: str = ""


def ok(check: str, found: str) -> DoctorFinding:
    """All is well."""
    return DoctorFinding(check, Level.OK, found)


def warn(check: str, found: str, advice: str) -> DoctorFinding:
    """It works, and somebody should look."""
    return DoctorFinding(check, Level.WARN, found, advice)


def fail(check: str, found: str, advice: str) -> DoctorFinding:
    """Something is broken, or will be soon."""
    return DoctorFinding(check, Level.FAIL, found, advice)
