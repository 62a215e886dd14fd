"""Provenance keys on the wire."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from storage.services import Services
from tests.api.caller import Caller, found_organisation, unique
from tests.api.times import assert_times
from tests.integrations.formats.dsse.signing import ALGORITHMS, Signer, new_signer, signer

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = "/provenance-keys"


def key_body(one: Signer, **fields: Any) -> dict[str, Any]:
    return {"name": unique("key"), "publicKeyPem": one.pem, **fields}


async def test_a_key_has_every_field(api: Caller) -> None:
    one = signer()
    made = (await api.post(KEYS, {"name": "release builds", "publicKeyPem": one.pem.strip()})).json
    assert_times(made, "createdAt")
    assert made == {
        "id": made["id"],
        "name": "release builds",
        "keyId": one.fingerprint,
        "algorithm": "ed25519",
        "publicKeyPem": one.pem,
        "version": 1,
        "createdAt": made["createdAt"],
    }
    assert (await api.get(f"{KEYS}/{made['id']}")).json == made


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_the_algorithm_is_the_keys_own(api: Caller, algorithm: str) -> None:
    body = key_body(new_signer(algorithm), algorithm="none", keyId="release-2026")
    made = (await api.post(KEYS, body)).json
    assert (made["algorithm"], made["keyId"]) == (algorithm, "release-2026")


async def test_keys_are_listed_oldest_first_with_their_total(api: Caller) -> None:
    made = [(await api.post(KEYS, key_body(new_signer()))).json for _ in range(3)]
    answer = await api.get(KEYS)
    assert answer.json == made
    assert answer.headers["X-Total-Count"] == "3"
    assert (await api.get(f"{KEYS}?page=1&size=1")).json == made[1:2]


async def test_a_deleted_key_is_gone_and_its_name_free(api: Caller) -> None:
    body = key_body(signer())
    made = (await api.post(KEYS, body)).json
    gone = await api.send("DELETE", f"{KEYS}/{made['id']}")
    assert (gone.status, gone.text) == (204, "")
    await api.get(f"{KEYS}/{made['id']}", status=404)
    assert (await api.get(KEYS)).json == []
    assert (await api.send("DELETE", f"{KEYS}/{made['id']}")).status == 404
    again = (await api.post(KEYS, body)).json
    assert again["id"] != made["id"]
    told = (await api.get("/audit?size=10")).json["events"]
    named = [event["eventType"] for event in told if event["recordKind"] == "provenance_key"]
    assert named == ["PROVENANCE_KEY_CREATED", "PROVENANCE_KEY_DELETED", "PROVENANCE_KEY_CREATED"]
    assert json.loads(told[0]["payload"])["keyId"] == signer().fingerprint


async def test_a_taken_name_or_key_is_409_also_in_a_race(api: Caller) -> None:
    one = signer()
    body = key_body(one)
    answers = await asyncio.gather(*(api.send("POST", KEYS, json=body) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    same_key = await api.post(KEYS, key_body(one), status=409)
    assert body["name"] in same_key.json["message"]
    await api.post(KEYS, key_body(new_signer(), name=body["name"]), status=409)
    await api.post(KEYS, key_body(one, keyId="another"))


WEAK = {
    "RSA of 1024 bits": Signer.of(rsa.generate_private_key(65537, 1024)),
    "P-384": Signer.of(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": Signer.of(ec.generate_private_key(ec.SECP256K1())),
}


@pytest.mark.parametrize("name", WEAK)
async def test_a_key_of_another_kind_is_400(api: Caller, name: str) -> None:
    refused = await api.post(KEYS, key_body(WEAK[name]), status=400)
    assert refused.fields == ["publicKeyPem"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_private_key_is_400_and_never_repeated(api: Caller, algorithm: str) -> None:
    one = signer(algorithm)
    for pem in (one.private_pem, one.pem + one.private_pem):
        refused = await api.post(KEYS, {"name": "x", "publicKeyPem": pem}, status=400)
        assert refused.fields == ["publicKeyPem"]
        assert "private key" in refused.json["message"]
        secret = one.private_pem.splitlines()[1]
        assert secret not in refused.text
        assert secret[:20] not in refused.text
    too_long = one.private_pem * 200
    refused = await api.post(KEYS, {"name": "x", "publicKeyPem": too_long}, status=400)
    assert one.private_pem.splitlines()[1] not in refused.text


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"publicKeyPem": None}, "publicKeyPem"),
        ({"publicKeyPem": "junk"}, "publicKeyPem"),
        ({"publicKeyPem": "x" * 20_000}, "publicKeyPem"),
        ({"keyId": ""}, "keyId"),
        ({"keyId": "x" * 256}, "keyId"),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, fields: Any, named: str) -> None:
    assert (await api.post(KEYS, key_body(signer(), **fields), status=400)).fields == [named]
    assert (await api.get(KEYS)).json == []


async def test_another_organisations_keys_do_not_exist(api: Caller, app_services: Services) -> None:
    stranger = await found_organisation(api.client, app_services)
    made = (await api.post(KEYS, key_body(signer()))).json
    await stranger.get(f"{KEYS}/{made['id']}", status=404)
    assert (await stranger.send("DELETE", f"{KEYS}/{made['id']}")).status == 404
    assert (await stranger.get(KEYS)).json == []
    await stranger.post(KEYS, key_body(signer(), name=made["name"]))
    await api.get(f"{KEYS}/{uuid4()}", status=404)


async def test_dry_runs_register_and_delete_nothing(api: Caller) -> None:
    on = {"headers": {"X-Dry-Run": "true"}}
    body = key_body(signer())
    rehearsed = (await api.post(KEYS, body, status=200, **on)).json
    assert rehearsed["wouldCreate"]["keyId"] == signer().fingerprint
    await api.post(KEYS, body | {"publicKeyPem": "junk"}, status=400, **on)
    made = (await api.post(KEYS, body)).json
    await api.post(KEYS, body, status=409, **on)
    gone = await api.send("DELETE", f"{KEYS}/{made['id']}", **on)
    assert (gone.status, gone.json["wouldDelete"]) == (200, {**made, "version": 2})
    assert (await api.get(KEYS)).json == [made]
