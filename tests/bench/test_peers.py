import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.bench.deliveries import workflow_run
from tests.bench.interpreter import Interpreter
from tests.bench.peers.catalogue import PEERS, Peer
from tests.bench.peers.rows import read
from tests.bench.scenarios import processes
from tests.bench.scenarios.peers import is_complete, note
from tests.paths import ROOT

COMPLETE = Interpreter("/venv/bin/python", "3.11.7", {name: "1.0" for peer in PEERS for name in peer.packages})
PINS = (ROOT / "tests" / "bench" / "peers.txt").read_text()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.module)
def test_a_peer_that_can_run_tells_its_settings_and_versions(peer: Peer) -> None:
    told = note(peer, COMPLETE)
    assert "skipped" not in told
    assert peer.settings in told
    assert f"{peer.packages[-1]} 1.0" in told


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.module)
def test_a_peer_that_lacks_a_package_is_skipped_with_a_sentence(peer: Peer) -> None:
    rest = {name: found for name, found in COMPLETE.versions.items() if name != peer.packages[-1]}
    lacking = replace(COMPLETE, versions=rest)
    assert not is_complete(peer, lacking)
    assert note(peer, lacking).endswith(f"has no {peer.packages[-1]}.")


def test_an_interpreter_that_does_not_start_is_told_of() -> None:
    assert note(PEERS[0], None).endswith("does not start.")


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.foreign], ids=lambda peer: peer.module)
def test_what_the_project_does_not_depend_on_is_pinned(peer: Peer) -> None:
    for name in peer.packages:
        assert f"{name}==" in PINS.replace("psycopg[binary,pool]", "psycopg-binary==\npsycopg")


def test_peers_use_the_versions_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    for name in ("aiohttp", "asyncpg", "orjson", "uvloop"):
        [pin] = [line for line in PINS.splitlines() if line.startswith(f"{name}==")]
        assert f"\n{pin} " in f"\n{lock}"


def test_a_fact_is_read_from_a_workflow_run() -> None:
    body = workflow_run(7)
    fact = read("d-7", body)
    assert fact.commit_sha == json.loads(body)["workflow_run"]["head_sha"]
    assert (fact.delivery_id, fact.status, fact.name) == ("d-7", "success", "build")
    assert fact.observed_at == datetime(2026, 3, 3, 10, 4, 17, tzinfo=UTC)


def test_without_the_option_two_processes_are_not_measured() -> None:
    outcome = processes.skipped()
    assert outcome.met
    assert outcome.notes == ["Skipped: `trailgate api` has no option `--processes` in this version."]
    assert [check.result for check in outcome.checks] == ["not measured"]
