"""The table of good and bad proofs: what is verified, and that nothing else ever is."""

import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from domain.facts.provenance import Build, BuilderType, CheckStatus, ProvenanceClaim, ProvenanceFinding, ProvenanceKey
from integrations.formats.dsse.verify import Unverifiable
from integrations.formats.intoto.verify import UNSIGNED, check, read_stated
from tests.integrations.formats.dsse.signing import (
    ALGORITHMS,
    DIGEST,
    OTHER_DIGEST,
    Signer,
    about,
    bundle,
    envelope,
    new_signer,
    raw,
    signer,
    statement,
    std,
    url_safe,
    wrapped,
)
from tests.integrations.formats.dsse.test_verify import ENVELOPES, JSON

BUILDER = "https://github.com/actions/runner/github-hosted"


def claim(proof: Any = None, **fields: Any) -> ProvenanceClaim:
    """As a caller makes one who says nothing beside the envelope but the builder."""
    text = proof if isinstance(proof, str) or proof is None else json.dumps(proof)
    given_: dict[str, Any] = {
        "digest": DIGEST,
        "build": Build(BUILDER),
        "builder_type": BuilderType.GENERIC,
        "envelope": text,
    }
    return ProvenanceClaim(**(given_ | fields))


def found(proof: Any, *keys: ProvenanceKey, **fields: Any) -> ProvenanceFinding:
    return check(claim(proof, **fields), keys)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("encode", [std, url_safe, wrapped])
@pytest.mark.parametrize("payload_type", ["application/vnd.in-toto+json", "application/vnd.in-toto.provenance+json"])
def test_a_good_envelope_is_verified(algorithm: str, encode: Any, payload_type: str) -> None:
    one = signer(algorithm)
    key = one.registered()
    proof = envelope(statement(), one, encode=encode, payload_type=payload_type)
    finding = found(proof, signer("ed25519", 1).registered(), key)
    assert finding == ProvenanceFinding(CheckStatus.VERIFIED, finding.reason, key, "https://slsa.dev/provenance/v1")
    assert "'a key'" in finding.reason


def test_the_older_predicate_and_any_of_its_subjects() -> None:
    one = signer()
    proof = envelope(statement("v0.2"), one)
    build = Build("https://github.com/example/builders/.github/workflows/generic.yml@refs/tags/v1.9.0")
    for digest in (DIGEST, "sha256:e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317"):
        finding = found(proof, one.registered(), build=build, digest=digest)
        assert (finding.status, finding.predicate_type) == (CheckStatus.VERIFIED, "https://slsa.dev/provenance/v0.2")


def tampered(one: Signer) -> dict[str, Any]:
    """The signature is good, of another statement."""
    proof = envelope(statement(), one)
    changed = statement()
    changed["predicate"]["runDetails"]["builder"]["id"] = BUILDER
    changed["subject"] += about(OTHER_DIGEST)
    return proof | {"payload": std(json.dumps(changed).encode())}


def flooded(one: Signer) -> dict[str, Any]:
    proof = envelope(statement(), one)
    flood = [{"sig": std(n.to_bytes(64)), "keyid": one.fingerprint} for n in range(999)]
    return proof | {"signatures": flood + proof["signatures"]}


def signed(value: Any, one: Signer, **options: Any) -> dict[str, Any]:
    return envelope(value, one, **options)


BAD: dict[str, tuple[Any, str]] = {
    "a wrong key id": (lambda one: signed(statement(), one, key_ids=["deadbeef"]), "'deadbeef'"),
    "a key id that is no line": (lambda one: signed(statement(), one, key_ids=["a\0\n\ud7ff" * 99]), "\\x00"),
    "another's signature": (lambda one: signed(statement(), new_signer(), key_ids=[one.fingerprint]), "made"),
    "a stranger's signature": (lambda one: signed(statement(), new_signer(), key_ids=[None]), "No registered key"),
    "a thousand signatures": (flooded, "No registered key"),
    "no signatures": (lambda one: signed(statement(), one) | {"signatures": []}, "bears no signature"),
    "junk signatures": (lambda one: signed(statement(), one) | {"signatures": [{"sig": "junk"}]}, "No registered key"),
    "a payload that was changed": (tampered, "made"),
    "an unknown payload type": (lambda one: signed(statement(), one, payload_type="text/plain"), "'text/plain'"),
    "a payload type beyond ASCII": (lambda one: signed(statement(), one, payload_type="\u00e4\0"), "\\xe4\\x00"),
    "a payload that is no JSON": (lambda one: signed(b"hello world", one), "not JSON"),
    "a payload that is no statement": (lambda one: signed({"a": 1}, one), "not an in-toto statement"),
    "another artifact": (lambda one: signed(statement(subject=about(OTHER_DIGEST)), one), "None of the statement's"),
    "no subject": (lambda one: signed(statement(subject=[]), one), "None of the statement's"),
    "a subject under another hash": (
        lambda one: signed(statement(subject=[{"digest": {"sha512": DIGEST[7:]}}]), one),
        "None of the statement's",
    ),
    "another predicate": (lambda one: signed(statement(predicateType="https://spdx.dev/Document"), one), "spdx.dev"),
    "an older predicate": (
        lambda one: signed(statement(predicateType="https://slsa.dev/provenance/v0.1"), one),
        "v0.1",
    ),
    "a predicate without a builder": (lambda one: signed(statement(predicate={}), one), "builderId"),
    "a stranger's bundle": (lambda one: bundle(signed(statement(), new_signer())), "not trusted by itself"),
    "a bundle of a message": (lambda one: {"messageSignature": {}}, "messageSignature"),
    "no envelope": (lambda one: {}, "payloadType"),
    "no object": (lambda one: "[]", "not a JSON object"),
    "no JSON": (lambda one: "{", "not JSON"),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_envelope_is_unverified_and_says_why(name: str, algorithm: str) -> None:
    make, reason = BAD[name]
    one = signer(algorithm)
    finding = found(make(one), one.registered(), signer("ed25519", 1).registered())
    assert (finding.status, finding.key, finding.predicate_type) == (CheckStatus.UNVERIFIED, None, None)
    assert reason in finding.reason
    assert finding.reason.isprintable()
    assert len(finding.reason) < 600


def test_without_keys_nothing_is_verified() -> None:
    finding = found(envelope(statement(), signer()))
    assert finding.status is CheckStatus.UNVERIFIED
    assert "No public key is registered" in finding.reason


def test_without_proof_nothing_is_verified() -> None:
    assert found(None, signer().registered()) == ProvenanceFinding(CheckStatus.UNVERIFIED, UNSIGNED)


TOLD = Build(
    builder_id=BUILDER,
    build_config_uri="https://github.com/example/shop@refs/tags/v2.0.1#.github/workflows/release.yml",
    source_repository_uri="git+https://github.com/example/shop.git@refs/heads/other",
    source_commit_sha="C27D339EE6075C1F744C5D4B200F7901AAD2C369",
    build_started_on=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    build_finished_on=datetime(2026, 3, 1, 9, 34, 5, tzinfo=UTC),
)


def test_what_is_told_beside_the_envelope_may_be_what_it_says() -> None:
    one = signer()
    assert found(envelope(statement(), one), one.registered(), build=TOLD).status is CheckStatus.VERIFIED


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("builder_id", "https://github.com/actions/runner/self-hosted", "builderId"),
        ("build_config_uri", "https://example.com/ci.yml", "buildConfigUri"),
        ("source_repository_uri", "https://github.com/evil/shop", "sourceRepositoryUri"),
        ("source_commit_sha", "0" * 40, "sourceCommitSha"),
        ("build_started_on", datetime(2025, 3, 1, tzinfo=UTC), "buildStartedOn"),
        ("build_finished_on", datetime(2027, 3, 1, tzinfo=UTC), "buildFinishedOn"),
    ],
)
def test_a_good_signature_does_not_cover_what_it_does_not_say(field: str, value: Any, named: str) -> None:
    """Else anybody could hang a false source on a true envelope."""
    one = signer()
    build = replace(TOLD, **{field: value})
    contradicted = found(envelope(statement(), one), one.registered(), build=build)
    silent = statement()
    silent["predicate"] = {}
    unsaid = found(envelope(silent, one), one.registered(), build=Build(**{field: value}))
    for finding in (contradicted, unsaid):
        assert finding.status is CheckStatus.UNVERIFIED
        assert named in finding.reason


DETACHED = ProvenanceClaim(DIGEST, replace(TOLD, build_finished_on=None), BuilderType.JENKINS)


def test_the_bytes_that_a_detached_signature_signs() -> None:
    """Written out for whoever signs in another language."""
    assert DETACHED.statement() == (
        b'{"artifactDigest":"sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",'
        b'"buildConfigUri":"https://github.com/example/shop@refs/tags/v2.0.1#.github/workflows/release.yml",'
        b'"buildFinishedOn":null,"buildStartedOn":"2026-03-01T09:30:00.000000Z",'
        b'"builderId":"https://github.com/actions/runner/github-hosted","builderType":"JENKINS","slsaLevel":"L0",'
        b'"sourceCommitSha":"C27D339EE6075C1F744C5D4B200F7901AAD2C369",'
        b'"sourceRepositoryUri":"git+https://github.com/example/shop.git@refs/heads/other"}'
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("encode", [std, url_safe])
def test_a_detached_signature_is_verified(algorithm: str, encode: Any) -> None:
    one = signer(algorithm)
    key = one.registered()
    made = one.sign(DETACHED.statement())
    finding = check(replace(DETACHED, signature=encode(made)), [signer("ed25519", 1).registered(), key])
    assert (finding.status, finding.key, finding.predicate_type) == (CheckStatus.VERIFIED, key, None)
    if algorithm == "ecdsa-p256-sha256":
        assert check(replace(DETACHED, signature=encode(raw(made))), [key]).status is CheckStatus.VERIFIED


CHANGES: list[dict[str, Any]] = [
    {"digest": OTHER_DIGEST},
    {"builder_type": BuilderType.GENERIC},
    {"slsa_level": "L3"},
    {"build": Build(BUILDER)},
    {"build": replace(TOLD, source_commit_sha="c27d339ee6075c1f744c5d4b200f7901aad2c369")},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_detached_signature_covers_every_field(change: dict[str, Any]) -> None:
    one = signer()
    signature = std(one.sign(DETACHED.statement()))
    finding = check(replace(DETACHED, signature=signature, **change), [one.registered()])
    assert finding.status is CheckStatus.UNVERIFIED


@pytest.mark.parametrize("junk", ["junk", "verified", "MEUCIQ==", "\u00e4", std(b"\0" * 64), "A" * 2048, " "])
def test_a_junk_signature_stays_unverified(junk: str) -> None:
    """Not any text counts as a signature."""
    keys = [signer(algorithm).registered() for algorithm in ALGORITHMS]
    finding = check(replace(DETACHED, signature=junk), keys)
    assert (finding.status, finding.key) == (CheckStatus.UNVERIFIED, None)


def test_either_proof_suffices_and_two_bad_ones_say_so_both() -> None:
    one = signer()
    good = envelope(statement(), one)
    told = claim(good)
    detached = std(one.sign(told.statement()))
    key = one.registered()
    assert "envelope" in check(replace(told, signature="junk"), [key]).reason
    assert "provenanceSignature" in check(replace(told, envelope="{}", signature=detached), [key]).reason
    neither = check(replace(told, envelope="{}", signature="junk"), [key])
    assert neither.status is CheckStatus.UNVERIFIED
    assert "payloadType" in neither.reason
    assert "No registered key" in neither.reason


def test_what_an_envelope_says_is_read_whoever_signed_it() -> None:
    stated = read_stated(json.dumps(envelope(statement(), new_signer())), DIGEST)
    assert stated is not None
    assert stated.build is not None
    assert stated.build.builder_id == BUILDER
    assert read_stated(json.dumps(bundle(envelope(statement(), new_signer()))), DIGEST) == stated
    assert read_stated(None, DIGEST) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "payloadType"),
        (json.dumps(envelope(b"x", new_signer())), "not JSON"),
        (json.dumps(envelope(statement(), new_signer()) | {"payload": "?"}), "not base64"),
        (json.dumps(envelope(statement(), new_signer(), payload_type="text/plain")), "'text/plain'"),
        (json.dumps(envelope(statement(predicateType="https://spdx.dev/Document"), new_signer())), "spdx.dev"),
    ],
)
def test_an_envelope_that_states_nothing_says_why(text: str, reason: str) -> None:
    with pytest.raises(Unverifiable, match=reason):
        read_stated(text, DIGEST)


@pytest.mark.parametrize("predicate_type", ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"])
def test_a_statement_about_another_artifact_is_rejected(predicate_type: str) -> None:
    """28.7; also when nobody we know signed it."""
    other = statement(subject=about(OTHER_DIGEST), predicateType=predicate_type)
    with pytest.raises(Rejected, match="another artifact"):
        read_stated(json.dumps(envelope(other, new_signer())), DIGEST)


KEYS = [signer(algorithm).registered("k") for algorithm in ALGORITHMS]


@given(JSON | ENVELOPES, st.none() | st.text(max_size=40))
def test_nothing_arbitrary_is_ever_verified_or_an_error(value: Any, signature: str | None) -> None:
    text = json.dumps(value)
    finding = check(claim(text, signature=signature), KEYS)
    assert (finding.status, finding.key) == (CheckStatus.UNVERIFIED, None)
    assert finding.reason.isprintable()
    with pytest.raises(Unverifiable):
        read_stated(text, DIGEST)


@given(JSON, st.sampled_from(["subject", "predicate", "predicateType", "_type"]))
def test_no_signed_statement_breaks_the_check(value: Any, name: str) -> None:
    one = signer()
    finding = found(envelope(statement(**{name: value}), one), one.registered())
    assert finding.status is CheckStatus.UNVERIFIED


@given(st.data())
def test_one_changed_byte_of_the_payload_is_enough(data: st.DataObject) -> None:
    one = signer()
    proof = envelope(statement(), one)
    payload = bytearray(b64decode(proof["payload"]))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    finding = found(proof | {"payload": std(bytes(payload))}, one.registered())
    assert finding.status is CheckStatus.UNVERIFIED
