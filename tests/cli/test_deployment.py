"""The files that deploy it say what the code needs."""

import re
import subprocess
import sys
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
    assert processes == {"release": "python -m cli migrate", "api": "python -m cli api", "worker": "python -m workers"}
    for name, process in {"migrate": "release", "api": "api", "worker": "worker"}.items():
        assert " ".join(compose["services"][name]["command"]) == processes[process]


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


def test_the_settings_that_compose_names_exist(compose: dict, trailgate) -> None:
    known = set(re.findall(r"TRAILGATE_\w+", trailgate("settings").out))
    named = {name for name in compose["services"]["api"]["environment"] if name.startswith("TRAILGATE_")}
    assert named <= known
