"""What happens to a delivery besides being recorded: copies, rotation of secrets, dead letters, strangers."""

import asyncio
from typing import Any
from uuid import uuid4

from domain.audit.events import Actor
from domain.identity.api_keys import NewApiKey
from domain.identity.principals import NewPrincipal
from storage.identity.commands.api_keys import create_api_key
from storage.identity.commands.principals import create_principal
from storage.identity.queries.organisations import organisation_by_slug_or_id
from storage.services import Services
from tests.journeys.client import Client, Config, open_client
from tests.journeys.conftest import Running
from tests.journeys.senders import Delivery, Sender, build, commit_of, standard
from tests.journeys.waiting import eventually
from tests.paths import FIXTURES


async def status_of(client: Client, config: Config, delivery: Delivery) -> int:
    async with client.session.post(config.path, data=delivery.body, headers=delivery.headers) as response:
        return response.status


async def test_copies_get_the_first_receipt_and_are_counted(admin: Client, unique: str) -> None:
    config = await admin.config()
    sender, delivery = Sender(admin.session, config.path), build(config.secret, unique, commit_of(unique))
    first = await sender.deliver(delivery)
    assert {await sender.deliver(delivery) for _ in range(2)} == {first}
    await admin.receipt(first)
    at_once = await asyncio.gather(*(sender.deliver(delivery) for _ in range(20)))
    assert set(at_once) == {first}
    settled = await admin.receipt(first)
    assert (settled["status"], settled["duplicates"], len(settled["attestationIds"])) == ("SUCCESS", 22, 1)
    [listed] = await admin.get(f"/webhook-configs/{config.id}/deliveries")
    assert (listed["deliveryId"], listed["duplicates"]) == (unique, 22)


async def test_both_secrets_hold_during_a_rotation_and_only_the_new_one_after_it(admin: Client, unique: str) -> None:
    config = await admin.config(secret="the first")
    sender = Sender(admin.session, config.path)

    def signed(secret: str) -> Delivery:
        return build(secret, str(uuid4()), commit_of(unique))

    assert await status_of(admin, config, signed("the second")) == 401
    rotated = await admin.post(f"/webhook-configs/{config.id}/rotate", {"secret": "the second"}, expect=200)
    assert rotated["previousSecretUntil"]

    async def taken() -> bool:
        return await status_of(admin, config, signed("the second")) == 202

    await eventually(taken, 5, "the second secret being known")
    await sender.deliver(signed("the first"))
    await admin.post(f"/webhook-configs/{config.id}/rotate", {"secret": "the third", "graceHours": 0}, expect=200)

    async def ended() -> bool:
        return await status_of(admin, config, signed("the second")) == 401

    await eventually(ended, 5, "the end of the second secret")
    assert await status_of(admin, config, signed("the first")) == 401
    assert await status_of(admin, config, signed("the third")) == 202


async def test_a_deleted_config_lets_nobody_in_and_keeps_what_came(admin: Client, unique: str) -> None:
    config = await admin.config()
    receipt = await admin.receipt(
        await Sender(admin.session, config.path).deliver(build(config.secret, unique, commit_of(unique)))
    )
    await admin.ask("DELETE", f"/webhook-configs/{config.id}", expect=204)
    assert await status_of(admin, config, build(config.secret, f"{unique}-late", commit_of(unique))) == 401
    assert (await admin.receipt(receipt["receiptId"]))["status"] == "SUCCESS"
    assert (await admin.get(f"/trails/{receipt['trailId']}"))["id"] == receipt["trailId"]


async def test_a_redelivery_brings_a_dead_letter_back_to_life(admin: Client, unique: str) -> None:
    config = await admin.config("JENKINS", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    sender = Sender(admin.session, config.path)
    broken = standard(config.secret, unique, b'{"build": {"url": "job/app/1/", "phase": "FINALIZED"}}')
    dead = await admin.receipt(await sender.deliver(broken))
    assert (dead["status"], dead["trailId"], dead["attestationIds"]) == ("FAILED", None, [])
    assert "build.status: is required" in dead["statusMessage"]
    mended = standard(config.secret, unique, (FIXTURES / "jenkins" / "finalized__success.json").read_bytes())
    assert await sender.deliver(mended) == dead["receiptId"]
    alive = await admin.receipt(dead["receiptId"])
    assert (alive["status"], alive["duplicates"], len(alive["attestationIds"])) == ("SUCCESS", 1, 1)
    assert alive["payloadHash"] != dead["payloadHash"]
    await sender.deliver(broken)
    unmoved = await admin.receipt(dead["receiptId"])
    assert (unmoved["status"], unmoved["payloadHash"], unmoved["duplicates"]) == ("SUCCESS", alive["payloadHash"], 2)


async def stranger_key(inside: Services, slug: str) -> str:
    """A key of an administrator of another organisation."""
    async with inside.database.transaction() as tx:
        organisation = await organisation_by_slug_or_id(tx, slug)
        assert organisation
        founder = Actor(tx.new_id())
        admin_id = await create_principal(
            tx, organisation.tenant, NewPrincipal("user", f"admin-{slug}", "admin"), founder
        )
        _, key = await create_api_key(tx, organisation.tenant, NewApiKey(admin_id, "stranger"), founder)
    return key


async def foreign_ids(admin: Client, unique: str) -> dict[str, Any]:
    """One of everything, of the organisation `default`."""
    config = await admin.config()
    receipt = await admin.receipt(
        await Sender(admin.session, config.path).deliver(build(config.secret, unique, commit_of(unique)))
    )
    events = (await admin.get("/audit", trailId=receipt["trailId"]))["events"]
    [record] = receipt["attestationIds"]

    async def sealed() -> bool:
        answer = await admin.post(f"/ledger/verify/{record}", expect=200)
        return bool(answer["verified"])

    await eventually(sealed, 10, "the seal of the record")
    return {"config": config, "receipt": receipt, "event": events[0]["id"], "record": record}


async def test_another_organisations_ids_are_nowhere_to_be_found(
    admin: Client, running: Running, inside: Services, unique: str
) -> None:
    theirs = await foreign_ids(admin, unique)
    config, trail = theirs["config"], theirs["receipt"]["trailId"]
    slug = f"org-{unique}"
    await admin.post("/organisations", {"slug": slug, "name": "Strangers"})
    commit = {"gitCommitSha": "abcdef1", "gitBranch": "main", "gitAuthor": "A", "gitAuthorEmail": "a@example.com"}
    reads = (
        f"/flows/{config.flow_id}",
        f"/flows/{config.flow_id}/trails",
        f"/trails/{trail}",
        f"/trails/{trail}/attestations",
        f"/receipts/{theirs['receipt']['receiptId']}",
        f"/webhook-configs/{config.id}/deliveries",
        f"/ledger/entries/{theirs['record']}",
        f"/audit/{theirs['event']}",
        "/organisations/default",
    )
    writes = (
        ("/trails", {"flowId": config.flow_id, **commit}),
        (f"/trails/{trail}/attestations", {"type": "BUILD", "status": "PASSED"}),
        ("/webhook-configs", {"source": "GITHUB", "secret": "x", "flowId": config.flow_id}),
        (f"/webhook-configs/{config.id}/rotate", {"secret": "x"}),
    )
    async with open_client(running.address, await stranger_key(inside, slug)) as stranger:
        for path in reads:
            await stranger.get(path, expect=404)
        for path, body in writes:
            await stranger.post(path, body, expect=404)
        await stranger.ask("DELETE", f"/webhook-configs/{config.id}", expect=404)
        assert await stranger.get("/trails", flowId=config.flow_id) == []
        assert await stranger.get("/flows") == await stranger.get("/webhook-configs") == []
        assert (await stranger.get("/audit", trailId=trail))["totalElements"] == 0
        verdict = await stranger.post(f"/ledger/verify/{theirs['record']}", expect=200)
        assert (verdict["verified"], verdict["result"], verdict["contentHash"]) == (False, "missing", None)
        await stranger.post("/organisations", {"slug": f"more-{unique}", "name": "More"}, expect=403)
    for path in reads[:-1]:
        await admin.get(path)


async def test_a_sender_of_an_organisation_reaches_only_its_flow(admin: Client, running: Running, unique: str) -> None:
    await admin.post("/organisations", {"slug": f"org-{unique}", "name": "Own"})
    async with open_client(running.address, admin.session.headers["X-Api-Key"], f"org-{unique}") as member:
        config = await member.config()
        receipt = await member.receipt(
            await Sender(member.session, config.path).deliver(build(config.secret, unique, commit_of(unique)))
        )
        [trail] = await member.get("/trails")
        assert (trail["id"], trail["orgSlug"]) == (receipt["trailId"], f"org-{unique}")
        by_source = config.path.removesuffix(f"/{config.id}")
        shared_path = Config(config.id, config.flow_id, by_source, config.secret)
        delivery = build(config.secret + unique, unique, commit_of(unique))
        assert await status_of(member, shared_path, delivery) == 401
    await admin.get(f"/trails/{trail['id']}", expect=404)
