"""Provenance on the wire."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from domain.facts.provenance import Build, BuilderType, ProvenanceClaim
from storage.services import Services
from tests.api.caller import Caller, found_organisation, unique
from tests.api.times import assert_times
from tests.integrations.formats.dsse.signing import (
    ALGORITHMS,
    BUNDLES,
    DIGEST,
    OTHER_DIGEST,
    Signer,
    about,
    bundle,
    envelope,
    new_signer,
    signer,
    statement,
    std,
    url_safe,
    wrapped,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTITY = {
    "id",
    "artifactId",
    "builderId",
    "builderType",
    "buildConfigUri",
    "sourceRepositoryUri",
    "sourceCommitSha",
    "buildStartedOn",
    "buildFinishedOn",
    "provenanceSignature",
    "slsaLevel",
    "provenanceStatus",
    "recordedAt",
}
"""The fields of version 1."""
OURS = {"trailId", "sha256Digest", "envelope", "message", "keyId", "predicateType", "checkedAt"}
BUILDER = "https://github.com/actions/runner/github-hosted"
PLAIN = {"builderId": "ci.example.com", "builderType": "GENERIC"}


async def new_artifact(api: Caller, digest: str = DIGEST, trail_id: str | None = None) -> str:
    """The path of an artifact."""
    if trail_id is None:
        trail_id = (await api.make_trail((await api.make_flow())["id"]))["id"]
    made = await api.report_artifact(trail_id, digest, imageTag=unique("tag"))
    return f"/trails/{trail_id}/artifacts/{made['id']}"


async def register(api: Caller, one: Signer, **fields: Any) -> Any:
    body = {"name": unique("key"), "publicKeyPem": one.pem, **fields}
    return (await api.post("/provenance-keys", body)).json


async def record(api: Caller, artifact: str, body: Any, status: int = 201, **request: Any) -> Any:
    return (await api.post(f"{artifact}/provenance", body, status=status, **request)).json


async def verify(api: Caller, artifact: str) -> Any:
    return (await api.post(f"{artifact}/provenance/verify", status=200)).json


async def checks(api: Caller) -> list[dict[str, Any]]:
    """What the audit tells of checks, oldest first."""
    found = (await api.get("/audit?size=100&sortDesc=false")).json["events"]
    return [json.loads(event["payload"]) for event in found if event["recordKind"] == "provenance_check"]


async def test_provenance_has_every_field_of_the_entity_and_nulls(api: Caller) -> None:
    artifact = await new_artifact(api)
    made = await record(api, artifact, PLAIN)
    assert made.keys() == ENTITY | OURS
    assert_times(made, "recordedAt", "checkedAt")
    told = {key: made[key] for key in made if key not in {"id", "recordedAt", "checkedAt", "message"}}
    _, _, trail_id, _, artifact_id = artifact.split("/")
    assert told == dict.fromkeys(told) | {
        "artifactId": artifact_id,
        "trailId": trail_id,
        "sha256Digest": DIGEST,
        "builderId": "ci.example.com",
        "builderType": "GENERIC",
        "slsaLevel": "L0",
        "provenanceStatus": "PROVENANCE_UNVERIFIED",
    }
    assert "not signed" in made["message"]
    assert (await api.get(f"{artifact}/provenance")).json == made


async def test_provenance_reads_as_it_was_recorded(api: Caller) -> None:
    sent = {
        "builderId": "https://ci.example.com/job/b\u00fcro",
        "builderType": "JENKINS",
        "buildConfigUri": "https://example.com/Jenkinsfile",
        "sourceRepositoryUri": "git@example.com:shop.git",
        "sourceCommitSha": "ABC123",
        "buildStartedOn": "2026-03-01T09:30:00.000000Z",
        "buildFinishedOn": "2026-03-01T09:34:05.123456Z",
        "provenanceSignature": "any text at all",
        "slsaLevel": "L3",
        "envelope": {"payload": "x", "payloadType": "y", "signatures": [], "more": [1, 2.5, None, "\u00fc"]},
    }
    artifact = await new_artifact(api)
    made = await record(api, artifact, sent)
    assert {key: made[key] for key in sent} == sent
    assert (await api.get(f"{artifact}/provenance")).json == made


@pytest.mark.parametrize("text", ["verified", "MEUCIQDx", std(b"\0" * 64), "A" * 2048])
async def test_a_junk_signature_stays_unverified(api: Caller, text: str) -> None:
    """Not any text counts."""
    await register(api, signer())
    artifact = await new_artifact(api)
    made = await record(api, artifact, PLAIN | {"provenanceSignature": text})
    assert (made["provenanceStatus"], made["keyId"]) == ("PROVENANCE_UNVERIFIED", None)
    assert (await verify(api, artifact))["provenanceStatus"] == "PROVENANCE_UNVERIFIED"


async def test_a_blank_signature_is_none(api: Caller) -> None:
    made = await record(api, await new_artifact(api), PLAIN | {"provenanceSignature": "  "})
    assert made["provenanceSignature"] is None


FORMS = {
    "an object": lambda made: {"envelope": made},
    "a text": lambda made: {"envelope": json.dumps(made, indent=2)},
    "the body itself": lambda made: made,
    "wrapped": lambda made: {"envelope": made | {"payload": wrapped(b64decode(made["payload"] + "=="))}},
    "a bundle": lambda made: {"envelope": bundle(made)},
    "a bundle as text": lambda made: {"envelope": json.dumps(bundle(made))},
    "a bundle as the body": bundle,
    "beside what it says": lambda made: {"builderId": BUILDER, "builderType": "CIRCLE_CI", "envelope": made},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_good_envelope_is_verified_in_every_form(api: Caller, algorithm: str, form: str) -> None:
    one = signer(algorithm)
    await register(api, signer("ed25519", 1))
    key = await register(api, one)
    made_envelope = envelope(statement(), one, encode=url_safe)
    artifact = await new_artifact(api)
    made = await record(api, artifact, FORMS[form](made_envelope))
    assert made["provenanceStatus"] == "PROVENANCE_VERIFIED"
    assert (made["keyId"], made["predicateType"]) == (key["keyId"], "https://slsa.dev/provenance/v1")
    assert {name: made[name] for name in TOLD} == TOLD
    assert made["builderType"] == ("CIRCLE_CI" if form == "beside what it says" else "GITHUB_ACTIONS")
    sent = FORMS[form](made_envelope)
    stored = sent.get("envelope", sent)
    assert made["envelope"] == (json.loads(stored) if isinstance(stored, str) else stored)
    assert (await api.get(f"{artifact}/provenance")).json == made
    [told] = await checks(api)
    assert (told["status"], told["keyId"]) == ("PROVENANCE_VERIFIED", key["keyId"])


TOLD = {
    "builderId": BUILDER,
    "buildConfigUri": "https://github.com/example/shop@refs/tags/v2.0.1#.github/workflows/release.yml",
    "sourceRepositoryUri": "https://github.com/example/shop",
    "sourceCommitSha": "c27d339ee6075c1f744c5d4b200f7901aad2c369",
    "buildStartedOn": "2026-03-01T09:30:00.000000Z",
    "buildFinishedOn": "2026-03-01T09:34:05.000000Z",
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_detached_signature_is_verified(api: Caller, algorithm: str) -> None:
    one = signer(algorithm)
    key = await register(api, one)
    signed = ProvenanceClaim(DIGEST, Build(builder_id="ci.example.com"), BuilderType.GENERIC).statement()
    body = PLAIN | {"provenanceSignature": std(one.sign(signed))}
    made = await record(api, await new_artifact(api), body)
    assert (made["provenanceStatus"], made["keyId"]) == ("PROVENANCE_VERIFIED", key["keyId"])
    other = await record(api, await new_artifact(api), body | {"slsaLevel": "L3"})
    assert other["provenanceStatus"] == "PROVENANCE_UNVERIFIED"


async def test_a_detached_signature_over_the_bytes_that_the_document_describes(api: Caller) -> None:
    """Put together here as a client does who has nothing but the description."""
    one = signer()
    await register(api, one)
    fields = {
        "artifactDigest": DIGEST,
        "buildConfigUri": None,
        "buildFinishedOn": None,
        "buildStartedOn": "2026-03-01T08:30:00.500000Z",
        "builderId": "b\u00fcro",
        "builderType": "JENKINS",
        "slsaLevel": "L2",
        "sourceCommitSha": "ABC",
        "sourceRepositoryUri": None,
    }
    signed = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    body = {name: value for name, value in fields.items() if name != "artifactDigest"}
    body |= {"buildStartedOn": "2026-03-01T09:30:00.5+01:00", "provenanceSignature": std(one.sign(signed))}
    made = await record(api, await new_artifact(api), body)
    assert made["provenanceStatus"] == "PROVENANCE_VERIFIED"


def with_statement(one: Signer, **changes: Any) -> dict[str, Any]:
    return envelope(statement(**changes), one)


def flooded(one: Signer) -> dict[str, Any]:
    made = envelope(statement(), one)
    return made | {"signatures": [{"sig": std(n.to_bytes(64)), "keyid": one.fingerprint} for n in range(1000)]}


UNVERIFIED = {
    "a wrong key id": lambda one: envelope(statement(), one, key_ids=["deadbeef"]),
    "a long key id": lambda one: envelope(statement(), one, key_ids=["x" * 500]),
    "a stranger's signature": lambda one: envelope(statement(), new_signer(), key_ids=[None]),
    "a thousand signatures": flooded,
    "no signature": lambda one: envelope(statement(), one) | {"signatures": []},
    "a changed payload": lambda one: (
        envelope(statement(), one) | {"payload": std(json.dumps(statement()).encode() + b" ")}
    ),
    "an unknown payload type": lambda one: envelope(statement(), one, payload_type="text/plain"),
    "an unknown predicate": lambda one: with_statement(one, predicateType="https://spdx.dev/Document"),
    "a predicate type with NUL": lambda one: with_statement(one, predicateType="a\0b"),
    "no subject": lambda one: with_statement(one, subject=[]),
    "a payload that is no statement": lambda one: envelope(b"\xff\0", one),
    "another builder": lambda one: with_statement(one, predicate={"runDetails": {"builder": {"id": "another"}}}),
    "nothing": lambda one: {},
}


@pytest.mark.parametrize("name", UNVERIFIED)
async def test_an_envelope_that_proves_nothing_is_recorded_as_such(api: Caller, name: str) -> None:
    one = signer()
    await register(api, one)
    artifact = await new_artifact(api)
    made = await record(api, artifact, PLAIN | {"builderId": BUILDER, "envelope": UNVERIFIED[name](one)})
    assert (made["provenanceStatus"], made["keyId"], made["predicateType"]) == ("PROVENANCE_UNVERIFIED", None, None)
    assert made["message"]
    [told] = await checks(api)
    assert (told["status"], told["reason"]) == ("PROVENANCE_UNVERIFIED", made["message"])


UNREADABLE: dict[str, tuple[Callable[[Signer], Any], str]] = {
    "an unknown payload type": (UNVERIFIED["an unknown payload type"], "The payload type 'text/plain'"),
    "an unknown predicate": (UNVERIFIED["an unknown predicate"], "https://spdx.dev/Document"),
    "no statement": (UNVERIFIED["a payload that is no statement"], "The payload is not JSON."),
    "no base64": (lambda one: envelope(statement(), one) | {"payload": "?"}, "payload is not base64"),
    "an empty statement": (lambda one: bundle(envelope({}, one)), "not an in-toto statement"),
    "a bundle of a message": (
        lambda one: {"mediaType": BUNDLES[2], "messageSignature": {"signature": "AA=="}},
        "Sigstore bundle with a messageSignature",
    ),
    "a bundle of nothing": (
        lambda one: {"mediaType": BUNDLES[2], "verificationMaterial": {}},
        "without a dsseEnvelope",
    ),
    "nothing": (lambda one: {"signatures": []}, "no payloadType"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_an_envelope_that_names_no_builder_is_refused_with_the_reason(api: Caller, name: str) -> None:
    """It was "builderId is required", whatever the reason."""
    make, reason = UNREADABLE[name]
    artifact = await new_artifact(api)
    for body in (make(signer()), {"envelope": make(signer())}, {"builderId": BUILDER, "envelope": make(signer())}):
        refused = await api.post(f"{artifact}/provenance", body, status=400)
        assert refused.fields == ["envelope"]
        assert reason in refused.json["message"]
    kept = await record(api, artifact, PLAIN | {"envelope": make(signer())})
    assert reason in kept["message"]


@pytest.mark.parametrize("media_type", BUNDLES)
async def test_a_bundle_is_sent_as_it_lies_on_disk(api: Caller, media_type: str) -> None:
    one = signer()
    await register(api, one)
    content = json.dumps(bundle(envelope(statement(), one, key_ids=[None]), media_type))
    headers = {"Content-Type": media_type}
    made = await api.post(f"{await new_artifact(api)}/provenance", data=content, headers=headers)
    assert made.json["provenanceStatus"] == "PROVENANCE_VERIFIED"
    assert made.json["envelope"] == json.loads(content)


async def test_a_bundle_of_a_stranger_is_recorded_as_unverified(api: Caller) -> None:
    await register(api, signer())
    made = await record(api, await new_artifact(api), bundle(envelope(statement(), new_signer(), key_ids=[None])))
    assert made["provenanceStatus"] == "PROVENANCE_UNVERIFIED"
    assert "not trusted by itself" in made["message"]
    assert made["builderId"] == BUILDER


@pytest.mark.parametrize("entry", ["0", "{}"])
async def test_a_flood_of_signatures_is_one_error(api: Caller, entry: str) -> None:
    """An error for each of half a million took two seconds."""
    body = '{"signatures": [%s0]}' % (f"{entry}," * 300_000)
    headers = {"Content-Type": "application/json"}
    refused = await api.post(f"{await new_artifact(api)}/provenance", status=400, data=body, headers=headers)
    assert refused.json["message"].startswith("signatures: List should have at most 1000 items")


async def test_what_an_unverified_envelope_says_is_still_taken_for_a_claim(api: Caller) -> None:
    made = await record(api, await new_artifact(api), envelope(statement("v0.2"), new_signer()))
    assert made["provenanceStatus"] == "PROVENANCE_UNVERIFIED"
    assert made["sourceCommitSha"] == "15bf79ea9c89fffbf5dd02c6b5b686b291bfcbd2"
    assert made["builderType"] == "GITHUB_ACTIONS"


async def test_a_predicate_cannot_smuggle_in_what_no_database_stores(api: Caller) -> None:
    """The payload is base64: the reader of bodies never sees what stands in it."""
    one = signer()
    await register(api, one)
    bad = statement()
    bad["predicate"]["runDetails"]["builder"]["id"] = "a\0b"
    refused = await api.post(f"{await new_artifact(api)}/provenance", envelope(bad, one), status=400)
    assert refused.fields == ["builderId"]
    bad["predicate"]["runDetails"]["builder"]["id"] = BUILDER
    bad["predicate"]["buildDefinition"]["resolvedDependencies"][1]["uri"] = "x\0" * 300
    made = await record(api, await new_artifact(api), envelope(bad, one))
    assert (made["sourceRepositoryUri"], made["provenanceStatus"]) == (None, "PROVENANCE_VERIFIED")


@pytest.mark.parametrize("signed", [True, False])
async def test_an_envelope_about_another_artifact_is_422(api: Caller, signed: bool) -> None:
    one = signer()
    if signed:
        await register(api, one)
    artifact = await new_artifact(api)
    refused = await record(api, artifact, with_statement(one, subject=about(OTHER_DIGEST)), status=422)
    assert DIGEST in refused["message"]
    await api.get(f"{artifact}/provenance", status=404)
    both = with_statement(one, subject=about(OTHER_DIGEST, DIGEST, DIGEST))
    assert (await record(api, artifact, both))["provenanceStatus"].endswith("_VERIFIED" if signed else "_UNVERIFIED")


async def test_provenance_twice_is_409_also_in_a_race(api: Caller) -> None:
    artifact = await new_artifact(api)
    answers = await asyncio.gather(*(api.send("POST", f"{artifact}/provenance", json=PLAIN) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    await record(api, artifact, PLAIN | {"builderId": "another"}, status=409)
    assert (await api.get(f"{artifact}/provenance")).json["builderId"] == "ci.example.com"
    assert len(await checks(api)) == 1


async def test_the_404s(api: Caller) -> None:
    artifact, other = await new_artifact(api), await new_artifact(api)
    _, _, trail_id, _, artifact_id = artifact.split("/")
    other_id = other.rpartition("/")[2]
    for path, missing in (
        (f"/trails/{uuid4()}/artifacts/{artifact_id}", "trail"),
        (f"/trails/{trail_id}/artifacts/{uuid4()}", "artifact"),
        (f"/trails/{trail_id}/artifacts/{other_id}", "artifact"),
    ):
        for answer in (
            await api.post(f"{path}/provenance", PLAIN, status=404),
            await api.post(f"{path}/provenance/verify", status=404),
            await api.get(f"{path}/provenance", status=404),
        ):
            assert f"There is no {missing} " in answer.json["message"]
    await api.get(f"{artifact}/provenance", status=404)


async def test_verify_without_a_record_is_200(api: Caller) -> None:
    artifact = await new_artifact(api)
    found = await verify(api, artifact)
    assert found == {
        "artifactId": artifact.rpartition("/")[2],
        "provenanceStatus": "NO_PROVENANCE",
        "message": found["message"],
        "keyId": None,
        "checkedAt": None,
    }
    assert await checks(api) == []


async def test_verify_goes_by_the_keys_of_today(api: Caller) -> None:
    one = signer()
    artifact = await new_artifact(api)
    await record(api, artifact, envelope(statement(), one))
    seen = [await verify(api, artifact)]
    key = await register(api, one, keyId="release-2026")
    assert (await api.get(f"{artifact}/provenance")).json["provenanceStatus"] == "PROVENANCE_UNVERIFIED"
    seen += [await verify(api, artifact), await verify(api, artifact)]
    assert (await api.send("DELETE", f"/provenance-keys/{key['id']}")).status == 204
    assert (await api.get(f"{artifact}/provenance")).json["keyId"] == "release-2026"
    seen.append(await verify(api, artifact))
    assert [(one["provenanceStatus"], one["keyId"]) for one in seen] == [
        ("PROVENANCE_UNVERIFIED", None),
        ("PROVENANCE_VERIFIED", "release-2026"),
        ("PROVENANCE_VERIFIED", "release-2026"),
        ("PROVENANCE_UNVERIFIED", None),
    ]
    recorded = ["recorded as a new check" in one["message"] for one in seen]
    assert recorded == [False, True, False, True]
    assert seen[1]["checkedAt"] == seen[2]["checkedAt"] < seen[3]["checkedAt"]
    assert [told["check"] for told in await checks(api)] == [1, 2, 3]
    now = (await api.get(f"{artifact}/provenance")).json
    assert (now["provenanceStatus"], now["checkedAt"]) == ("PROVENANCE_UNVERIFIED", seen[3]["checkedAt"])


async def test_another_key_of_the_same_signature_is_another_check(api: Caller) -> None:
    one = signer()
    artifact = await new_artifact(api)
    old = await register(api, one, name="old")
    await record(api, artifact, envelope(statement(), one))
    assert (await api.send("DELETE", f"/provenance-keys/{old['id']}")).status == 204
    await register(api, one, name="new")
    found = await verify(api, artifact)
    assert found["provenanceStatus"] == "PROVENANCE_VERIFIED"
    assert "'new'" in found["message"]
    assert len(await checks(api)) == 2


async def test_provenance_by_digest(api: Caller) -> None:
    oldest, middle, newest = [await new_artifact(api) for _ in range(3)]
    path = f"/artifacts/{DIGEST}/provenance"
    await api.get(f"/artifacts/{OTHER_DIGEST}/provenance", status=404)
    await api.get(path, status=404)
    await record(api, middle, PLAIN | {"builderId": "middle"})
    await record(api, oldest, PLAIN | {"builderId": "oldest"})
    bare = DIGEST.removeprefix("sha256:")
    for spelling in (DIGEST, bare, bare.upper(), "SHA256:" + bare.upper()):
        assert (await api.get(f"/artifacts/{spelling}/provenance")).json["builderId"] == "middle"
    await record(api, newest, PLAIN | {"builderId": "newest"})
    assert (await api.get(path)).json["builderId"] == "newest"


async def test_the_list_of_artifacts_shows_the_status(api: Caller) -> None:
    one = signer()
    await register(api, one)
    trail = await api.make_trail((await api.make_flow())["id"])
    bare, unsigned, signed = [await new_artifact(api, trail_id=trail["id"]) for _ in range(3)]
    await record(api, unsigned, PLAIN)
    await record(api, signed, envelope(statement(), one))
    found = (await api.get(f"/trails/{trail['id']}/artifacts")).json
    assert [(artifact["id"], artifact["provenanceStatus"]) for artifact in found] == [
        (bare.rpartition("/")[2], "NO_PROVENANCE"),
        (unsigned.rpartition("/")[2], "PROVENANCE_UNVERIFIED"),
        (signed.rpartition("/")[2], "PROVENANCE_VERIFIED"),
    ]


async def test_another_organisations_provenance_does_not_exist_nor_its_keys(
    api: Caller, app_services: Services
) -> None:
    stranger = await found_organisation(api.client, app_services)
    one = signer()
    await register(stranger, one)
    artifact = await new_artifact(api)
    made = await record(api, artifact, envelope(statement(), one))
    assert made["provenanceStatus"] == "PROVENANCE_UNVERIFIED"
    await stranger.get(f"{artifact}/provenance", status=404)
    await stranger.post(f"{artifact}/provenance/verify", status=404)
    await stranger.post(f"{artifact}/provenance", PLAIN, status=404)
    await stranger.get(f"/artifacts/{DIGEST}/provenance", status=404)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"builderId": None}, "builderId"),
    ({"builderId": " "}, "builderId"),
    ({"builderId": "x" * 513}, "builderId"),
    ({"builderType": None}, "builderType"),
    ({"builderType": "TRAVIS"}, "builderType"),
    ({"slsaLevel": "L4"}, "slsaLevel"),
    ({"buildConfigUri": "x" * 513}, "buildConfigUri"),
    ({"sourceRepositoryUri": "x" * 513}, "sourceRepositoryUri"),
    ({"sourceCommitSha": "x" * 256}, "sourceCommitSha"),
    ({"provenanceSignature": "x" * 2049}, "provenanceSignature"),
    ({"buildStartedOn": "yesterday"}, "buildStartedOn"),
    ({"buildFinishedOn": "2026-03-01T09:30:00"}, "buildFinishedOn"),
    ({"envelope": "{"}, "envelope"),
    ({"envelope": "[]"}, "envelope"),
    ({"envelope": '{"payload": "\\u0000"}'}, "envelope.payload"),
    ({"envelope": [1]}, "envelope"),
    ({"envelope": {}, "payload": ""}, "envelope"),
    ({"signatures": [1]}, "signatures"),
    ({"payload": 5}, "payload"),
]


@pytest.mark.parametrize(("fields", "named"), BAD)
async def test_a_refusal_names_the_field(api: Caller, fields: dict[str, Any], named: str) -> None:
    artifact = await new_artifact(api)
    refused = await api.post(f"{artifact}/provenance", PLAIN | fields, status=400)
    assert refused.fields[0].startswith(named)
    await api.get(f"{artifact}/provenance", status=404)


@pytest.mark.parametrize("builder_type", ["github-actions", "GitHub_Actions", "circle-ci", "jenkins"])
async def test_a_builder_type_is_taken_in_any_case(api: Caller, builder_type: str) -> None:
    made = await record(api, await new_artifact(api), PLAIN | {"builderType": builder_type})
    assert made["builderType"] == builder_type.upper().replace("-", "_")


async def test_dry_runs_check_for_real_and_keep_nothing(api: Caller) -> None:
    on = {"headers": {"X-Dry-Run": "true"}}
    one = signer()
    key = await register(api, one)
    artifact = await new_artifact(api)
    body = envelope(statement(), one)
    rehearsed = await record(api, artifact, body, status=200, **on)
    assert rehearsed["wouldCreate"]["provenanceStatus"] == "PROVENANCE_VERIFIED"
    await record(api, artifact, with_statement(one, subject=about(OTHER_DIGEST)), status=422, **on)
    await api.get(f"{artifact}/provenance", status=404)
    nothing = (await api.post(f"{artifact}/provenance/verify", status=200, **on)).json
    assert nothing["wouldCreate"]["provenanceStatus"] == "NO_PROVENANCE"
    await record(api, artifact, body)
    await record(api, artifact, body, status=409, **on)
    assert (await api.send("DELETE", f"/provenance-keys/{key['id']}")).status == 204
    again = (await api.post(f"{artifact}/provenance/verify", status=200, **on)).json
    assert again["wouldCreate"]["provenanceStatus"] == "PROVENANCE_UNVERIFIED"
    assert (await api.get(f"{artifact}/provenance")).json["provenanceStatus"] == "PROVENANCE_VERIFIED"
    assert len(await checks(api)) == 1


async def test_an_idempotency_key_records_once(api: Caller) -> None:
    one = signer()
    await register(api, one)
    artifact = await new_artifact(api)
    keyed: dict[str, Any] = {"headers": {"Idempotency-Key": unique("attempt")}}
    first = await record(api, artifact, envelope(statement(), one), **keyed)
    assert await record(api, artifact, first["envelope"], **keyed) == first
