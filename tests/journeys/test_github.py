"""The whole thread for GitHub: from the signed delivery to a record that proves itself outside."""

import asyncio
import base64
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from domain.audit import merkle
from storage.ledger.published import checkpoint_file, read_published
from storage.services import Services
from tests.journeys.client import Client
from tests.journeys.conftest import Running
from tests.journeys.senders import COMMIT, Sender, build, commit_of, fixture, github
from tests.journeys.waiting import eventually
from tests.paths import FIXTURES

NAMES = sorted(path.stem for path in (FIXTURES / "github").glob("*.json"))

RECORDED: dict[str, tuple[str, tuple[str, str] | None]] = {
    "check_run__failure": ("check.failed", ("CHECK", "FAILED")),
    "check_run__neutral": ("check.neutral", None),
    "check_run__success": ("check.succeeded", ("CHECK", "PASSED")),
    "check_suite__stale": ("check_suite.stale", None),
    "check_suite__success": ("check_suite.succeeded", ("CHECK_SUITE", "PASSED")),
    "deployment_status__error": ("deployment.failed", ("DEPLOYMENT", "FAILED")),
    "deployment_status__failure": ("deployment.failed", ("DEPLOYMENT", "FAILED")),
    "deployment_status__in_progress": ("deployment.in_progress", None),
    "deployment_status__success": ("deployment.succeeded", ("DEPLOYMENT", "PASSED")),
    "pull_request__merged": ("pull_request.closed", None),
    "pull_request__opened": ("pull_request.opened", None),
    "pull_request__review_requested": ("pull_request.review_requested", None),
    "push__branch": ("push", None),
    "release__published_at_commit": ("release.published", None),
    "workflow_run__action_required": ("build.action_required", ("BUILD", "PENDING")),
    "workflow_run__cancelled": ("build.cancelled", None),
    "workflow_run__failure": ("build.failed", ("BUILD", "FAILED")),
    "workflow_run__in_progress": ("build.started", None),
    "workflow_run__requested": ("build.started", None),
    "workflow_run__skipped": ("build.skipped", None),
    "workflow_run__startup_failure": ("build.failed", ("BUILD", "FAILED")),
    "workflow_run__success": ("build.succeeded", ("BUILD", "PASSED")),
    "workflow_run__timed_out": ("build.failed", ("BUILD", "FAILED")),
}
"""What finds or opens the commit's trail, and what is attested on it."""
KEPT = {
    "check_run__created": "github.check_run",
    "check_suite__requested": "github.check_suite",
    "ping__hook": "ping",
    "push__deleted": "github.push",
    "push__tag": "github.push",
    "release__edited": "github.release",
    "release__published": "release.published",
    "star__created": "github.star",
}
"""What is kept and counted, and records nothing."""


async def test_every_event_of_github_lands_on_the_one_trail_of_its_commit(admin: Client, unique: str) -> None:
    assert sorted(RECORDED | KEPT) == NAMES, "every fixture has its place in this journey"
    config = await admin.config()
    sender = Sender(admin.session, config.path)
    posted = {}
    for name in NAMES:
        event = name.partition("__")[0]
        posted[name] = await sender.deliver(github(config.secret, f"{unique}-{name}", event, fixture(name)))
    settled = dict(
        zip(posted, await asyncio.gather(*(admin.receipt(receipt) for receipt in posted.values())), strict=True)
    )
    assert {receipt["status"] for receipt in settled.values()} == {"SUCCESS"}
    [trail] = await admin.get("/trails", flowId=config.flow_id)
    assert trail["gitCommitSha"] == COMMIT
    await check_receipts(settled, trail["id"])
    await check_attestations(admin, settled, trail["id"])
    await check_deliveries(admin, config.id, settled)


async def check_receipts(settled: dict[str, Any], trail_id: str) -> None:
    for name, receipt in settled.items():
        kept = name in KEPT
        expected = KEPT[name] if kept else RECORDED[name][0]
        attested = 0 if kept or RECORDED[name][1] is None else 1
        assert (receipt["eventType"], receipt["trailId"]) == (expected, None if kept else trail_id), name
        assert len(receipt["attestationIds"]) == attested, name


async def check_attestations(admin: Client, settled: dict[str, Any], trail_id: str) -> None:
    page = await admin.get(f"/trails/{trail_id}/attestations", size=100)
    by_receipt = {item["receiptId"]: (item["type"], item["status"]) for item in page["items"]}
    claims = {settled[name]["receiptId"]: claim for name, (_, claim) in RECORDED.items() if claim}
    assert by_receipt == claims
    assert page["totalItems"] == len(claims) == 11
    assert (await admin.get("/audit", trailId=trail_id, eventType="ATTESTATION_RECORDED"))["totalElements"] == 11
    assert (await admin.get("/audit", trailId=trail_id, eventType="TRAIL_CREATED"))["totalElements"] == 1


async def check_deliveries(admin: Client, config_id: str, settled: dict[str, Any]) -> None:
    listed = await admin.get(f"/webhook-configs/{config_id}/deliveries")
    assert {row["receiptId"] for row in listed} == {receipt["receiptId"] for receipt in settled.values()}
    assert {row["duplicates"] for row in listed} == {0}


async def test_a_trail_is_judged_by_the_newest_build(admin: Client, unique: str) -> None:
    config = await admin.config("GITHUB", "BUILD")
    sender, commit = Sender(admin.session, config.path), commit_of(unique)
    states = []
    for conclusion in ("success", "failure", "cancelled"):
        receipt = await admin.receipt(
            await sender.deliver(build(config.secret, f"{unique}-{conclusion}", commit, conclusion))
        )
        states.append((await admin.get(f"/trails/{receipt['trailId']}"))["status"])
    assert states == ["COMPLIANT", "NON_COMPLIANT", "NON_COMPLIANT"]


async def test_a_sealed_record_proves_itself_with_nothing_of_ours(
    admin: Client, running: Running, inside: Services, unique: str
) -> None:
    config = await admin.config()
    receipt = await admin.receipt(
        await Sender(admin.session, config.path).deliver(build(config.secret, unique, commit_of(unique)))
    )
    [record] = receipt["attestationIds"]
    answer = await verified(admin, record)
    proof, checkpoint = answer["proof"], answer["proof"]["checkpoint"]
    size, root = check_note(checkpoint["note"], base64.b64decode(checkpoint["publicKey"]))
    path = [bytes.fromhex(step) for step in proof["path"]]
    leaf = bytes.fromhex(proof["leafHash"])
    assert merkle.verify_inclusion(leaf, proof["leafIndex"], size, path, root)
    assert not merkle.verify_inclusion(bytes(32), proof["leafIndex"], size, path, root)
    entry = await admin.get(f"/ledger/entries/{record}")
    assert (entry["contentHash"], entry["sequence"]) == (proof["leafHash"], proof["leafIndex"] + 1)
    assert answer["entryHash"] == entry["entryHash"]
    [event] = [e for e in (await admin.get("/audit", trailId=receipt["trailId"]))["events"] if e["recordId"] == record]
    assert (event["eventType"], event["hash"]) == ("ATTESTATION_RECORDED", proof["leafHash"])
    await check_published(running, inside, size)


async def verified(admin: Client, record: str) -> Any:
    async def ask() -> Any:
        answer = await admin.post(f"/ledger/verify/{record}", expect=200)
        assert answer["result"] in {"verified", "unsealed"}, answer
        return answer if answer["verified"] else None

    return await eventually(ask, 10, "a checkpoint over the record")


def check_note(note: str, public_key: bytes) -> tuple[int, bytes]:
    """Read a C2SP signed note by hand and check its signature: tree size and root."""
    text, _, signature_line = note.partition("\n\n")
    body = (text + "\n").encode()
    dash, name, blob = signature_line.strip().split(" ")
    assert (dash, name) == ("\u2014", "trailgate")
    signature = base64.b64decode(blob)[4:]
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, body)
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, body.replace(b"trailgate", b"trailhead"))
    _origin, size, root, _chain = text.split("\n")
    return int(size), base64.b64decode(root)


async def check_published(running: Running, inside: Services, size: int) -> None:
    async with inside.database.read() as reader:
        org_id: UUID = await reader.value("SELECT id FROM organisations WHERE slug = 'default'")
    file = checkpoint_file(running.settings.checkpoints, org_id)

    async def published() -> bool:
        return file.exists() and read_published(file.read_text())[-1].checkpoint.size >= size

    await eventually(published, 10, "the checkpoint outside the database")


async def test_the_chain_of_the_ledger_holds_and_its_pages_have_no_gap(admin: Client) -> None:
    await admin.config()

    async def caught_up() -> Any:
        status = await admin.get("/ledger/status")
        covered = status["checkpoint"] and status["checkpoint"]["treeSize"] == status["totalEntries"]
        return status if covered and not status["unsealed"] else None

    status = await eventually(caught_up, 10, "a checkpoint over everything")
    assert (status["enabled"], status["healthy"]) == (True, True)
    chain = await admin.post("/ledger/verify-chain", expect=200)
    assert chain["valid"]
    assert chain["entriesChecked"] >= status["totalEntries"] > 3
    first = await admin.get("/ledger/entries", size=2)
    second = await admin.get("/ledger/entries", size=2, page=1)
    entries = [*first["entries"], *second["entries"]]
    assert [entry["sequence"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0]["previousHash"] == "0" * 64
    assert [entry["previousHash"] for entry in entries[1:]] == [entry["entryHash"] for entry in entries[:-1]]
