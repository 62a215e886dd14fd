"""Check the environment for variables that look like settings but are none, such as misspelt ones."""

from collections.abc import Iterable
from difflib import get_close_matches

from cli.checks.findings import DoctorFinding, warn
from cli.client import KEY_VARIABLE, URL_VARIABLE
from storage.settings import Settings

PREFIX = str(Settings.model_config["env_prefix"])
_NAMES = tuple(map(str.upper, Settings.model_fields))
_OF_CLIENTS = frozenset({KEY_VARIABLE, URL_VARIABLE})
"""Variables of commands that call the API."""


def examine_variables(names: Iterable[str]) -> list[DoctorFinding]:
    """Return a warning for each variable with our prefix that is no setting."""
    ours = [name for name in names if name.upper().startswith(PREFIX) and name not in _OF_CLIENTS]
    unknown = sorted(name for name in ours if _setting(name) not in _NAMES)
    return [_unknown(name) for name in unknown]


def _setting(variable: str) -> str:
    return variable.upper().removeprefix(PREFIX)


def _unknown(variable: str) -> DoctorFinding:
    near = get_close_matches(_setting(variable), _NAMES, 1)
    advice = f"did you mean {PREFIX}{near[0]}?" if near else "remove it; `trailgate settings` lists all settings"
    return warn("variables", f"{variable} is not a setting, so it has no effect", advice)
