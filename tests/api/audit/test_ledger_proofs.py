"""What an auditor takes home: proofs, checkpoints and keys, checked here with nothing but the answers."""

import base64
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from domain.audit import merkle
from domain.audit.ledger import parse_note
from storage.keys import key_id, signature_holds
from storage.services import Services
from tests.api.caller import Caller, found_organisation, make_holder
from tests.api.times import assert_times
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHECKPOINT = {"treeSize", "rootHash", "keyId", "publicKey", "note", "createdAt"}


async def grown(api: Caller, services: Services, checkpoints: int = 3) -> list[str]:
    """A ledger with some checkpoints; the answer is the flows that were sealed between them."""
    flows = []
    for _ in range(checkpoints):
        flows.append((await api.make_flow())["id"])
        await Sealer()(services)
    return flows


async def checkpoints(api: Caller, query: str = "") -> Any:
    return (await api.get(f"/ledger/checkpoints{query}")).json


def hashes(path: list[str]) -> list[bytes]:
    return [bytes.fromhex(step) for step in path]


def root_of(checkpoint: Any) -> bytes:
    """The root, once the signature over it is known to hold."""
    note = parse_note(checkpoint["note"])
    assert signature_holds(base64.b64decode(checkpoint["publicKey"]), note.signature, note.checkpoint.body())
    assert note.checkpoint.size == checkpoint["treeSize"]
    assert base64.b64encode(note.checkpoint.root).decode() == checkpoint["rootHash"]
    return note.checkpoint.root


def included(proof: Any) -> bool:
    checkpoint = proof["checkpoint"]
    leaf, path = bytes.fromhex(proof["leafHash"]), hashes(proof["path"])
    return merkle.verify_inclusion(leaf, proof["leafIndex"], checkpoint["treeSize"], path, root_of(checkpoint))


async def test_an_entry_is_proven_under_the_newest_checkpoint(api: Caller, app_services: Services) -> None:
    flows = await grown(api, app_services)
    for flow_id in flows:
        proof = (await api.get(f"/ledger/entries/{flow_id}/proof")).json
        entry = (await api.get(f"/ledger/entries/{flow_id}")).json
        assert proof.keys() == {"leafIndex", "leafHash", "path", "checkpoint"}
        assert (proof["leafIndex"], proof["leafHash"]) == (entry["sequence"] - 1, entry["contentHash"])
        assert proof["checkpoint"] == (await checkpoints(api))[0]
        assert included(proof)
        proof["leafIndex"] ^= 1
        assert not included(proof)


async def test_an_entry_is_proven_under_every_checkpoint_that_covers_it(api: Caller, app_services: Services) -> None:
    first, *_ = await grown(api, app_services)
    sizes = [one["treeSize"] for one in await checkpoints(api)]
    assert len(sizes) == 3
    for size in sizes:
        proof = (await api.get(f"/ledger/entries/{first}/proof?treeSize={size}")).json
        assert proof["checkpoint"]["treeSize"] == size
        assert included(proof)


async def test_an_older_entry_of_a_record_is_named_by_its_number(api: Caller, app_services: Services) -> None:
    config = await api.make_config((await api.make_flow())["id"])
    await Sealer()(app_services)
    old = (await api.get(f"/ledger/entries/{config['id']}")).json
    await api.post(f"/webhook-configs/{config['id']}/rotate", {"secret": "new"}, status=200)
    await Sealer()(app_services)
    new = (await api.get(f"/ledger/entries/{config['id']}")).json
    for entry, query in ((new, ""), (new, f"?sequence={new['sequence']}"), (old, f"?sequence={old['sequence']}")):
        proof = (await api.get(f"/ledger/entries/{config['id']}/proof{query}")).json
        assert proof["leafHash"] == entry["contentHash"]
        assert included(proof)
    foreign = old["sequence"] - 1
    assert "entry" in (await api.get(f"/ledger/entries/{config['id']}/proof?sequence={foreign}", status=404)).text


async def test_there_is_no_proof_before_there_is_a_checkpoint(api: Caller, app_services: Services) -> None:
    flow = await api.make_flow()
    for path in (f"/ledger/entries/{flow['id']}/proof", f"/ledger/entries/{uuid4()}/proof", "/ledger/consistency"):
        await api.get(path, status=404)
    await api.get("/ledger/checkpoints/latest", status=404)
    assert await checkpoints(api) == []
    await Sealer()(app_services)
    size = (await checkpoints(api))[0]["treeSize"]
    await api.get(f"/ledger/entries/{flow['id']}/proof?treeSize={size - 1}", status=404)
    later = await api.make_flow()
    await Sealer()(app_services)
    refused = await api.get(f"/ledger/entries/{later['id']}/proof?treeSize={size}", status=404)
    assert "does not cover" in refused.json["message"]


async def test_growth_is_proven_between_any_two_checkpoints(api: Caller, app_services: Services) -> None:
    await grown(api, app_services, 4)
    sizes = [one["treeSize"] for one in await checkpoints(api)][::-1]
    assert len(sizes) == 4
    for place, old in enumerate(sizes):
        for new in sizes[place:]:
            proof = (await api.get(f"/ledger/consistency?from={old}&to={new}")).json
            assert (proof["older"]["treeSize"], proof["newer"]["treeSize"]) == (old, new)
            roots, path = (root_of(proof["older"]), root_of(proof["newer"])), hashes(proof["path"])
            assert merkle.verify_consistency(old, new, *roots, path)
            assert old == new or not merkle.verify_consistency(old, new, roots[1], roots[0], path)
    widest = (await api.get("/ledger/consistency")).json
    assert (widest["older"]["treeSize"], widest["newer"]["treeSize"]) == (sizes[0], sizes[-1])
    await api.get(f"/ledger/consistency?from={sizes[0]}&to={sizes[-1] + 1}", status=404)
    await api.get(f"/ledger/consistency?from={sizes[0] - 1}", status=404)


async def test_a_rewritten_ledger_has_no_proof_of_growth(api: Caller, app_services: Services) -> None:
    """Somebody with the database and the key in his hands still cannot connect to what was published before."""
    await grown(api, app_services, 2)
    new, old = [one["treeSize"] for one in await checkpoints(api)]
    published = root_of((await checkpoints(api))[1])
    async with app_services.database.transaction() as tx:
        forged = sha256(b"another first leaf").digest()
        rewritten = (
            "UPDATE ledger_tiles SET hashes = $2 || substr(hashes, 33) WHERE org_id = $1 AND level = 0 AND n = 0"
        )
        assert await tx.execute(rewritten, api.tenant.org_id, forged) == 1
    proof = (await api.get(f"/ledger/consistency?from={old}&to={new}")).json
    assert not merkle.verify_consistency(old, new, published, root_of(proof["newer"]), hashes(proof["path"]))


@pytest.mark.parametrize(
    ("query", "named"),
    [("from=2&to=1", ""), ("from=0", "from"), ("to=x", "to"), ("from=-1", "from"), (f"to={2**63}", "to")],
)
async def test_a_bad_pair_of_sizes_is_400(api: Caller, query: str, named: str) -> None:
    assert (await api.get(f"/ledger/consistency?{query}", status=400)).fields == [named]


async def test_checkpoints_newest_first_page_by_page(api: Caller, app_services: Services) -> None:
    await grown(api, app_services, 5)
    everything = await checkpoints(api)
    sizes = [one["treeSize"] for one in everything]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 5
    for one in everything:
        assert one.keys() == CHECKPOINT
        assert_times(one, "createdAt")
        root_of(one)
    found: list[Any] = []
    target: str | None = "/ledger/checkpoints?size=2"
    while target:
        answer = await api.get(target)
        assert answer.headers["X-Total-Count"] == "5"
        found += answer.json
        link = answer.headers.get("Link")
        target = link.partition(">")[0].removeprefix("<") if link else None
    assert found == everything
    assert await checkpoints(api, f"?before={sizes[2]}") == everything[3:]


async def test_one_checkpoint_as_json_and_as_a_note(api: Caller, app_services: Services) -> None:
    await grown(api, app_services, 2)
    newest, oldest = await checkpoints(api)
    assert (await api.get("/ledger/checkpoints/latest")).json == newest
    path = f"/ledger/checkpoints/{oldest['treeSize']}"
    assert (await api.get(path)).json == oldest
    assert (await api.get(path, headers={"Accept": "application/json, text/plain"})).json == oldest
    note = await api.get(path, headers={"Accept": "text/plain; charset=utf-8"})
    assert note.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert note.text == oldest["note"]
    origin, size, *_ = note.text.split("\n")
    assert (origin, size) == (f"trailgate/{api.tenant.org_id}", str(oldest["treeSize"]))
    for unknown in (0, oldest["treeSize"] - 1, 10**17, "first", "-1"):
        await api.get(f"/ledger/checkpoints/{unknown}", status=404)


async def test_the_keys_that_sign(api: Caller, app_services: Services) -> None:
    await grown(api, app_services, 1)
    answer = await api.get("/ledger/keys")
    assert answer.headers["X-Total-Count"] == str(len(answer.json))
    [current] = [key for key in answer.json if key["isCurrent"]]
    signer = app_services.signer
    assert current["keyId"] == signer.key_id == (await checkpoints(api))[0]["keyId"]
    assert (current["algorithm"], base64.b64decode(current["publicKey"])) == ("Ed25519", signer.public_key)
    assert_times(current, "createdAt")
    name, number, blob = current["verifierKey"].split("+", 2)  # C2SP signed-note: <name>+<hash>+<base64 of the key>
    assert (name, number) == ("trailgate", key_id(base64.b64decode(blob)[1:]))
    assert base64.b64decode(blob)[:1] == b"\x01"


async def test_a_ledger_is_its_organisations_alone(api: Caller, app_services: Services) -> None:
    stranger = await found_organisation(api.client, app_services)
    [flow_id] = await grown(api, app_services, 1)
    await grown(stranger, app_services, 2)
    size = (await checkpoints(api))[0]["treeSize"]
    await stranger.get(f"/ledger/entries/{flow_id}/proof", status=404)
    await stranger.get(f"/ledger/entries/{flow_id}/proof?treeSize={size}", status=404)
    assert not {one["note"] for one in await checkpoints(api)} & {one["note"] for one in await checkpoints(stranger)}
    foreign = (await stranger.get("/ledger/consistency")).json["newer"]["note"]
    assert parse_note(foreign).checkpoint.org_id == stranger.tenant.org_id


async def test_an_auditor_may_and_a_reporter_may_not(api: Caller, app_services: Services) -> None:
    [flow_id] = await grown(api, app_services, 1)
    paths = (f"entries/{flow_id}/proof", "consistency", "checkpoints", "checkpoints/latest", "keys")
    for role, status in (("auditor", 200), ("reporter", 403)):
        holder = await make_holder(app_services, api.tenant, role)
        for path in paths:
            await Caller(api.client, holder.key).get(f"/ledger/{path}", status=status)


async def test_proofs_are_read_from_tiles_alone() -> None:
    """In a ledger of a million entries, or a thousand times as many: two tiles a level."""
    for size, most in ((10**6, 6), (10**9, 8)):
        for index in (0, 1, 255, 256, 65_537, size // 2, size - 1):
            assert len(merkle.tiles_for_inclusion(index, size)) <= most
        for old in (1, 255, 256, 65_537, size // 2 + 1, size - 1):
            assert len(merkle.tiles_for_consistency(old, size)) <= most
