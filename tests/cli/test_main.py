import tomllib

from tests.paths import ROOT


def test_the_version_is_that_of_the_project(trailgate) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    outcome = trailgate("--version")
    assert (outcome.status, outcome.out, outcome.err) == (0, f"trailgate {version}\n", "")


def test_completion_can_be_installed(trailgate) -> None:
    assert "--install-completion" in trailgate("--help").out
