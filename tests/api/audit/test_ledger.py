"""The ledger on the wire: checked with what the answers hold."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from domain.audit.ledger import entry_hash, parse_note
from domain.audit.merkle import verify_inclusion
from storage.keys import signature_holds
from storage.ledger.marking import raise_marks
from storage.services import Services, open_services
from tests.api.caller import Caller, make_holder
from tests.api.times import assert_times
from tests.conftest import Installation
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTRY = {"entryId", "recordId", "eventType", "contentHash", "previousHash", "timestamp", "metadata"}
"""The fields of version 1."""
ADDED = {"factId", "sequence", "entryHash", "hashAlgorithm"}
VERIFICATION = {
    "recordId",
    "verified",
    "contentHash",
    "chainPosition",
    "previousHash",
    "ledgerTimestamp",
    "verifiedAt",
    "message",
}
CHAIN = {"valid", "entriesChecked", "firstEntryTimestamp", "lastEntryTimestamp", "brokenAt", "message"}
STATUS = {"enabled", "type", "totalEntries", "healthy", "message"}
"""Their answers of version 1."""
ZEROS = "0" * 64


async def sealed_trail(api: Caller, services: Services, attestations: int = 2) -> str:
    """A trail with attestations, all of it under a signed checkpoint."""
    trail = await api.make_trail((await api.make_flow())["id"])
    for _ in range(attestations):
        await api.attest(trail["id"])
    await Sealer()(services)
    return str(trail["id"])


async def entries_of(api: Caller) -> Any:
    return (await api.get("/ledger/entries?size=500")).json["entries"]


async def verified(api: Caller, record_id: str) -> Any:
    return (await api.post(f"/ledger/verify/{record_id}", status=200)).json


async def chain(api: Caller, **window: str | None) -> Any:
    return (await api.post("/ledger/verify-chain", window, status=200)).json


async def test_entries_have_every_field_and_chain_from_64_zeros(api: Caller, app_services: Services) -> None:
    await sealed_trail(api, app_services)
    entries = await entries_of(api)
    before = ZEROS
    for place, entry in enumerate(entries, start=1):
        assert entry.keys() == ENTRY | ADDED
        assert_times(entry, "timestamp")
        assert (entry["sequence"], entry["previousHash"]) == (place, before)
        assert entry["factId"] == entry["recordId"]
        assert entry["hashAlgorithm"] == "SHA-256"
        assert len(entry["contentHash"]) == len(entry["entryHash"]) == 64
        before = entry["entryHash"]
        sealed_at = datetime.fromisoformat(entry["timestamp"])
        computed = entry_hash(
            bytes.fromhex(entry["previousHash"]),
            entry["sequence"],
            UUID(entry["entryId"]),
            bytes.fromhex(entry["contentHash"]),
            sealed_at,
        )
        assert computed.hex() == entry["entryHash"]
    assert len({entry["entryHash"] for entry in entries}) == len(entries)
    kinds = [entry["eventType"] for entry in entries]
    assert kinds[-4:] == ["FLOW_CREATED", "TRAIL_CREATED", "ATTESTATION_RECORDED", "ATTESTATION_RECORDED"]


async def test_pages_of_the_ledger(api: Caller, app_services: Services) -> None:
    await sealed_trail(api, app_services)
    entries = await entries_of(api)
    total = len(entries)
    size = total - 2
    first, second, beyond = [(await api.get(f"/ledger/entries?page={n}&size={size}")).json for n in range(3)]
    assert first["entries"] + second["entries"] == entries
    assert (len(first["entries"]), len(second["entries"]), beyond["entries"]) == (size, 2, [])
    assert {name: first[name] for name in first if name != "entries"} == {
        "page": 0,
        "size": size,
        "totalElements": total,
        "totalPages": 2,
    }
    assert (await api.get("/ledger/entries")).json["size"] == 20
    assert (await api.get(f"/ledger/entries?page={2**40}")).json["entries"] == []


@pytest.mark.parametrize(
    ("query", "named"), [("size=0", "size"), ("size=501", "size"), ("page=-1", "page"), ("page=x", "page")]
)
async def test_a_bad_page_is_named(api: Caller, query: str, named: str) -> None:
    assert (await api.get(f"/ledger/entries?{query}", status=400)).fields == [named]


async def test_an_entry_of_a_record_is_its_newest(api: Caller, app_services: Services) -> None:
    config = await api.make_config((await api.make_flow())["id"])
    await Sealer()(app_services)
    first = (await api.get(f"/ledger/entries/{config['id']}")).json
    await api.post(f"/webhook-configs/{config['id']}/rotate", {"secret": "new"}, status=200)
    await Sealer()(app_services)
    second = (await api.get(f"/ledger/entries/{config['id']}")).json
    assert [one["eventType"] for one in (first, second)] == ["WEBHOOK_CONFIG_CREATED", "WEBHOOK_CONFIG_ROTATED"]
    assert second["sequence"] > first["sequence"]
    assert second["metadata"]["recordVersion"] == 2
    await api.get(f"/ledger/entries/{uuid4()}", status=404)


async def test_a_record_is_verified_and_its_proof_holds_elsewhere(api: Caller, app_services: Services) -> None:
    trail_id = await sealed_trail(api, app_services)
    verdict = await verified(api, trail_id)
    assert verdict.keys() == VERIFICATION | {"result", "sequence", "entryHash", "hashAlgorithm", "opening", "proof"}
    assert (verdict["verified"], verdict["result"]) == (True, "verified")
    assert_times(verdict, "ledgerTimestamp", "verifiedAt")
    entry = (await api.get(f"/ledger/entries/{trail_id}")).json
    assert {name: verdict[name] for name in ("contentHash", "previousHash", "entryHash", "sequence")} == {
        name: entry[name] for name in ("contentHash", "previousHash", "entryHash", "sequence")
    }
    assert verdict["chainPosition"] == entry["sequence"] - 1
    proof, checkpoint = verdict["proof"], verdict["proof"]["checkpoint"]
    note = parse_note(checkpoint["note"])
    assert note.checkpoint.size == checkpoint["treeSize"]
    assert note.checkpoint.org_id == api.tenant.org_id
    assert signature_holds(base64.b64decode(checkpoint["publicKey"]), note.signature, note.checkpoint.body())
    path = [bytes.fromhex(step) for step in proof["path"]]
    leaf = bytes.fromhex(verdict["contentHash"])
    assert proof["leafHash"] == verdict["contentHash"]
    assert verify_inclusion(leaf, proof["leafIndex"], checkpoint["treeSize"], path, note.checkpoint.root)
    assert not verify_inclusion(leaf[::-1], proof["leafIndex"], checkpoint["treeSize"], path, note.checkpoint.root)


async def test_a_record_that_is_unknown_or_not_sealed_yet(api: Caller) -> None:
    missing = str(uuid4())
    unknown = await verified(api, missing)
    assert (unknown["recordId"], unknown["verified"], unknown["result"]) == (missing, False, "missing")
    names = ("contentHash", "chainPosition", "previousHash", "ledgerTimestamp", "entryHash", "sequence", "proof")
    assert [unknown[name] for name in names] == [None] * 7
    flow = await api.make_flow()
    fresh = await verified(api, flow["id"])
    assert (fresh["verified"], fresh["result"]) == (False, "unsealed")
    await api.get(f"/ledger/entries/{flow['id']}", status=404)
    assert (await api.get("/ledger/status")).json["unsealed"] > 0


@asynccontextmanager
async def tampered(services: Services, sql: str, *args: Any) -> AsyncIterator[None]:
    """As somebody with the database in his hands would: past the triggers."""
    async with services.database.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        assert await tx.execute(sql, *args) == 1
    yield


async def test_an_altered_row_is_found_also_the_last_one(api: Caller, app_services: Services) -> None:
    trail_id = await sealed_trail(api, app_services)
    last = (await api.get(f"/trails/{trail_id}/attestations")).json[-1]["id"]
    assert (await verified(api, last))["verified"] is True
    change = "UPDATE attestation_results SET status = 'FAILED' WHERE attestation_id = $1"
    async with tampered(app_services, change, UUID(last)):
        verdict = await verified(api, last)
    assert (verdict["verified"], verdict["result"]) == (False, "altered")
    assert (await verified(api, trail_id))["verified"] is True


async def test_a_removed_row_is_found(api: Caller, app_services: Services) -> None:
    trail_id = await sealed_trail(api, app_services)
    last = (await api.get(f"/trails/{trail_id}/attestations")).json[-1]["id"]
    async with tampered(app_services, "DELETE FROM attestation_results WHERE attestation_id = $1", UUID(last)):
        assert (await verified(api, last))["result"] == "missing"


async def test_a_broken_link_is_found_and_named(api: Caller, app_services: Services) -> None:
    await sealed_trail(api, app_services)
    assert (await api.get("/ledger/status")).json["healthy"] is True
    entries = await entries_of(api)
    broken = entries[-2]
    change = "UPDATE ledger_entries SET previous_hash = $2 WHERE event_id = $1"
    async with tampered(app_services, change, UUID(broken["entryId"]), bytes(32)):
        verdict = await chain(api)
        status = (await api.get("/ledger/status")).json
    assert (verdict["valid"], verdict["brokenAt"]) == (False, broken["entryId"])
    assert verdict["entriesChecked"] == len(entries) - 2
    assert status["healthy"] is False
    assert (await verified(api, broken["recordId"]))["verified"] is False


async def test_the_whole_chain_holds(api: Caller, app_services: Services) -> None:
    await sealed_trail(api, app_services)
    entries = await entries_of(api)
    verdict = await chain(api)
    assert verdict.keys() == CHAIN
    assert {**verdict, "message": ""} == {
        "valid": True,
        "entriesChecked": len(entries),
        "firstEntryTimestamp": entries[0]["timestamp"],
        "lastEntryTimestamp": entries[-1]["timestamp"],
        "brokenAt": None,
        "message": "",
    }
    assert await chain(api, **{"from": None, "to": None}) == verdict
    empty_body = (await api.post("/ledger/verify-chain", status=200)).json
    assert empty_body == verdict


async def test_a_window_is_inclusive_at_both_ends(api: Caller, app_services: Services) -> None:
    for _ in range(3):
        await api.make_flow()
        await Sealer()(app_services)
    times = sorted({entry["timestamp"] for entry in await entries_of(api)})
    assert len(times) >= 3
    middle = times[1]
    verdict = await chain(api, **{"from": middle, "to": middle})
    assert (verdict["firstEntryTimestamp"], verdict["lastEntryTimestamp"]) == (middle, middle)
    assert verdict["entriesChecked"] >= 1
    later = (datetime.fromisoformat(middle) + timedelta(microseconds=1)).isoformat()
    assert (await chain(api, **{"from": later}))["firstEntryTimestamp"] == times[2]
    assert (await chain(api, to=middle))["lastEntryTimestamp"] == middle


async def test_an_empty_window_is_valid(api: Caller) -> None:
    verdict = await chain(api, **{"from": "2001-01-01T00:00:00Z", "to": "2001-01-02T00:00:00+01:00"})
    assert (verdict["valid"], verdict["entriesChecked"]) == (True, 0)
    assert [verdict[name] for name in ("firstEntryTimestamp", "lastEntryTimestamp", "brokenAt")] == [None] * 3


@pytest.mark.parametrize(
    ("window", "named"),
    [
        ({"from": "yesterday"}, ["from"]),
        ({"to": "2026-01-01T00:00:00"}, ["to"]),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, [""]),
    ],
)
async def test_a_bad_window_is_400(api: Caller, window: dict[str, Any], named: list[str]) -> None:
    refused = await api.post("/ledger/verify-chain", window, status=400)
    assert refused.fields == named
    assert "from" in refused.json["message"] or "to" in refused.json["message"]


async def test_the_status(api: Caller, app_services: Services) -> None:
    await sealed_trail(api, app_services)
    status = (await api.get("/ledger/status")).json
    assert status.keys() == STATUS | {"unsealed", "checkpoint"}
    assert (status["enabled"], status["type"], status["healthy"], status["unsealed"]) == (True, "sql", True, 0)
    assert status["totalEntries"] == len(await entries_of(api)) == status["checkpoint"]["treeSize"]


async def test_parallel_facts_keep_the_chain(api: Caller, app_services: Services) -> None:
    sealing = [Sealer()(app_services) for _ in range(3)]
    await asyncio.gather(*(api.make_flow() for _ in range(10)), *sealing)
    await Sealer()(app_services)
    verdict = await chain(api)
    assert verdict["valid"] is True
    entries = await entries_of(api)
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry["eventType"] for entry in entries].count("FLOW_CREATED") == 10


async def test_the_ledger_survives_a_restart(
    api: Caller, app_services: Services, installation: Installation, tmp_path: Path
) -> None:
    trail_id = await sealed_trail(api, app_services)
    settings = installation.settings(tmp_path)
    async with open_services(settings, "restarted") as services, TestClient(TestServer(build_app(services))) as client:
        again = Caller(client, api.key)
        assert await entries_of(again) == await entries_of(api)
        assert (await verified(again, trail_id))["verified"] is True


async def test_an_event_that_is_erased_while_no_worker_runs_is_missed(api: Caller, app_services: Services) -> None:
    await sealed_trail(api, app_services)
    await api.make_flow()
    await raise_marks(app_services)
    assert (await api.get("/ledger/status")).json["healthy"] is True
    org_id = api.tenant.org_id
    async with app_services.database.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        erased = await tx.rows("DELETE FROM unsealed WHERE org_id = $1 RETURNING event_id", org_id)
        await tx.execute("DELETE FROM audit_events WHERE id = ANY($1::uuid[])", [row["event_id"] for row in erased])
    assert erased
    status = (await api.get("/ledger/status")).json
    assert (status["healthy"], "are gone" in status["message"]) == (False, True)


@pytest.mark.parametrize(("role", "shown"), [("viewer", False), ("auditor", True), ("admin", True)])
async def test_the_ledger_shows_a_record_to_those_who_may_read_it(
    api: Caller, app_services: Services, role: str, shown: bool
) -> None:
    """A viewer may see that a key and a webhook config were sealed, and the proof, but not what."""
    config = await api.make_config((await api.make_flow())["id"])
    holder = await make_holder(app_services, api.tenant, role)
    await Sealer()(app_services)
    caller = Caller(api.client, holder.key, api.tenant)
    entries = await entries_of(caller)
    [of_key] = [one for one in entries if one["recordId"] == str(holder.key_id)]
    [of_config] = [one for one in entries if one["recordId"] == config["id"]]
    assert ("prefix" in of_key["metadata"]) is shown
    assert ("source" in of_config["metadata"]) is shown
    assert {"recordKind", "recordVersion"} <= of_key["metadata"].keys()
    answer = await verified(caller, config["id"])
    assert (answer["verified"], answer["opening"] is not None) == (True, shown)
    assert answer["proof"]["leafHash"] == of_config["contentHash"]
