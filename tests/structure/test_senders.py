"""What an inbound vendor costs: verify, parse, a line in the list, fixtures and two tests."""

import json
import re

import pytest

from integrations import SENDERS
from tests.paths import ROOT

NEEDED = {"__init__.py", "verify.py", "parse.py"}
ALLOWED = NEEDED | {"payloads.py", "client.py"}
"""The vendor's own words where there are many, and its API where it is called."""
OWN_FORMAT = {"GENERIC"}
"""Has no vendor whose payloads could be recorded."""


@pytest.mark.parametrize("source", SENDERS)
def test_a_sender_costs_these_files_and_no_others(source: str) -> None:
    folder = ROOT / "integrations" / source.lower()
    files = {path.name for path in folder.iterdir() if path.suffix == ".py"}
    assert NEEDED <= files <= ALLOWED
    tests = {path.name for path in (ROOT / "tests" / "integrations" / source.lower()).iterdir()}
    assert {"test_verify.py", "test_parse.py"} <= tests
    listed = (ROOT / "integrations" / "__init__.py").read_text()
    assert listed.count(f'Sender("{source}"') == 1
    lines = [line for line in listed.splitlines() if f"integrations.{source.lower()}." in line]
    assert 2 <= len(lines) <= 3, "imports and a line: nobody else knows the vendor"


@pytest.mark.parametrize("source", sorted(SENDERS.keys() - OWN_FORMAT))
def test_its_fixtures_are_named_after_event_and_detail(source: str) -> None:
    fixtures = sorted((ROOT / "tests" / "fixtures" / source.lower()).iterdir())
    assert len(fixtures) > 5
    for path in fixtures:
        assert re.fullmatch(r"[a-z0-9_.-]+?__[A-Za-z0-9_-]+\.json", path.name), path.name
        json.loads(path.read_text())


def test_nobody_else_names_a_vendor() -> None:
    """Receiver, inbox and drain treat all senders alike: what differs is in their `Sender`."""
    words = re.compile(r"\b(GITHUB|GITLAB|BITBUCKET|JENKINS|CIRCLECI|AZURE_DEVOPS)\b")
    shared = [*(ROOT / "api" / "webhooks").glob("*.py"), ROOT / "workers" / "drain.py"]
    shared += (ROOT / "storage" / "inbox").glob("*.py")
    named = {path.name for path in shared if words.search(path.read_text())}
    assert named <= {"schemas.py"}, "an example of the documentation may"
