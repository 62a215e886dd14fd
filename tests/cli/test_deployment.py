"""The files that deploy it say what the code needs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cli.installation import ROOT

COMPOSE = ROOT / "compose.yaml"


@pytest.fixture(scope="module")
def compose() -> dict:
    return YAML(typ="safe").load(COMPOSE)


def test_compose_fits_the_specification() -> None:
    checker: list[str | Path] = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        COMPOSE,
    ]
    subprocess.run(checker, check=True, capture_output=True)


def test_no_password_has_a_default() -> None:
    used = re.findall(r"\$\{(\w*PASSWORD\w*)([^}]*)\}", COMPOSE.read_text())
    assert {name for name, _ in used} == {"POSTGRES_PASSWORD", "VALKEY_PASSWORD"}
    assert all(rest.startswith(":?") for _, rest in used)


def test_services_wait_for_each_other_and_are_watched(compose: dict) -> None:
    services = compose["services"]
    assert set(services) == {"api", "worker", "migrate", "postgres", "valkey"}
    assert [name for name in services if "healthcheck" not in services[name]] == ["migrate"]
    for name in ("api", "worker"):
        conditions = {on: wait["condition"] for on, wait in services[name]["depends_on"].items()}
        assert conditions == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "valkey": "service_healthy",
        }
        assert "trailgate:/var/lib/trailgate" in services[name]["volumes"]
    named = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert named == set(compose["volumes"])


def test_processes_are_started_from_the_root_as_modules(compose: dict) -> None:
    processes = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert processes == {"api": "python -m cli api", "worker": "python -m cli worker"}, "what ends would end the others"
    for name, process in {**processes, "migrate": "python -m cli migrate"}.items():
        assert " ".join(compose["services"][name]["command"]) == process


def test_the_image_holds_every_room_and_does_not_run_as_root() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY")}
    assert copied == {
        "requirements.lock",
        "pyproject.toml",
        "domain",
        "storage",
        "integrations",
        "workers",
        "api",
        "cli",
    }
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{name}" for name in copied} | {"*", "**/__pycache__"} == set(ignored)
    assert [line for line in lines if line.startswith("USER")] == ["USER trailgate"]


OF_EMBEDDED_SERVERS = {"TRAILGATE_RUN_AS", "TRAILGATE_POSTGRES_BIN"}


def test_compose_passes_every_setting_on(compose: dict, trailgate) -> None:
    known = set(re.findall(r"TRAILGATE_\w+", trailgate("settings").out))
    for name in ("api", "worker", "migrate"):
        named = {name for name in compose["services"][name]["environment"] if name.startswith("TRAILGATE_")}
        assert named == known - OF_EMBEDDED_SERVERS


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), re.MULTILINE))


def test_each_installation_gets_only_what_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {
        extra: {re.split(r"[^A-Za-z0-9-]", one)[0].lower() for one in listed}
        for extra, listed in {"": project["dependencies"], **project["optional-dependencies"]}.items()
    }
    image, run, tools = (
        locked("requirements.lock"),
        locked("requirements-embedded.lock"),
        locked("requirements-dev.lock"),
    )
    assert image < run < tools
    assert needed[""] <= image
    assert needed["embedded"] <= run - image
    assert not needed["dev"] & run
    assert needed["dev"] <= tools
    assert "requirements.lock" in (ROOT / "deploy" / "Dockerfile").read_text()


def make(*words: str) -> str:
    """What make would do on a machine where nothing is installed."""
    command = ["make", "--dry-run", "VENV=/nowhere", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_run_installs_no_tools_and_make_test_does() -> None:
    assert "requirements-dev.lock" not in make("run")
    assert "requirements-embedded.lock" in make("run")
    assert "requirements-dev.lock" in make("test")
