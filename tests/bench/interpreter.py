"""Which interpreter figures were measured on; `python -m tests.bench.interpreter PACKAGE…` tells about another one.

Imports the standard library only, so that it runs in any virtual environment.
"""

import json
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Self

from tests.paths import ROOT

BUILD_NOTE = (
    "An interpreter built without profile-guided optimisation costs 5-15 % of the speed of everything that runs in "
    "Python, on both sides of every comparison; PostgreSQL and Valkey are not affected."
)
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter with the versions of the packages that were asked for; those that it lacks are not there."""

    path: str
    build: str
    versions: Mapping[str, str]

    @classmethod
    def inspect(cls, path: str, packages: Sequence[str]) -> Self | None:
        """The interpreter at a path, or None when there is none that runs."""
        command = [path, "-m", "tests.bench.interpreter", *packages]
        try:
            told = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, timeout=_PATIENCE)
        except (OSError, subprocess.SubprocessError):
            return None
        return cls(path, **json.loads(told.stdout))


def build() -> str:
    """Version, compiler and kind of the interpreter that runs this."""
    optimised = is_optimised(sysconfig.get_config_var("CONFIG_ARGS"))
    kind = "with" if optimised else "without"
    return f"{platform.python_version()}, {platform.python_compiler()}, built {kind} profile-guided optimisation"


def is_optimised(configured: str | None) -> bool:
    """Whether an interpreter configured with these arguments was built with profile-guided optimisation."""
    return "--enable-optimizations" in (configured or "")


def installed(packages: Sequence[str]) -> dict[str, str]:
    """The versions of those that are there."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    print(json.dumps({"build": build(), "versions": installed(sys.argv[1:])}))  # noqa: T201 - the bench reads it
