"""DSSE: the published vector, both base64 alphabets, key ids, and bounds on what a hostile envelope costs."""

import json
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from domain.facts.provenance import ProvenanceKey
from integrations.formats.dsse.keys import PublicKey
from integrations.formats.dsse.verify import (
    MAX_ENVELOPE,
    MAX_SIGNATURES,
    MAX_TRIES,
    MAX_TRIES_OF_KEY,
    DsseSignature,
    Unverifiable,
    find_signer,
    pae,
    read_base64,
    read_envelope,
)
from tests.integrations.formats.dsse.signing import (
    ALGORITHMS,
    BUNDLES,
    Signer,
    bundle,
    envelope,
    new_signer,
    raw,
    signed_bytes,
    signer,
    std,
    url_safe,
    wrapped,
)

HELLO_TYPE, HELLO = "http://example.com/HelloWorld", b"hello world"


def signer_of(text: str | dict[str, Any], *keys: ProvenanceKey) -> ProvenanceKey | None:
    found = read_envelope(text if isinstance(text, str) else json.dumps(text))
    return find_signer(pae(found.payload_type, found.payload), found.signatures, keys)


def test_the_published_pae() -> None:
    assert pae(HELLO_TYPE, HELLO) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_are_counted_in_bytes() -> None:
    assert pae("application/vnd.ex\u00e4mple+json", b"") == "DSSEv1 29 application/vnd.ex\u00e4mple+json 0 ".encode()


def test_the_published_example() -> None:
    """The numbers of the DSSE reference implementation: ECDSA P-256, r and s side by side, a key id of eight digits."""
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

    class Published:
        @staticmethod
        def public_key() -> ec.EllipticCurvePublicKey:
            return public

    key = Signer(Published, raw).registered("66301bbf")
    sig = "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    published = {
        "payload": "aGVsbG8gd29ybGQ=",
        "payloadType": HELLO_TYPE,
        "signatures": [{"keyid": "66301bbf", "sig": sig}],
    }
    assert signer_of(published, key) == key
    assert signer_of(published | {"payloadType": HELLO_TYPE + "!"}, key) is None


@pytest.mark.parametrize("encode", [std, url_safe, wrapped])
@pytest.mark.parametrize("payload", [b"", b"x", b"\xfb\xff\xbf>?", bytes(range(256))])
def test_either_alphabet_with_and_without_padding_and_line_ends(encode: Any, payload: bytes) -> None:
    one = signer()
    made = envelope(payload, one, encode=encode)
    key = one.registered()
    assert signer_of(made, key) == key
    assert read_envelope(json.dumps(made)).payload == payload


@pytest.mark.parametrize("text", ["a", "ab=c", "a\n", "\u00e4\u00e4\u00e4\u00e4", "abc\f", "****", "\ud800aaa"])
def test_what_is_not_base64(text: str) -> None:
    assert read_base64(text) is None


UNREADABLE: dict[str, Any] = {
    "not JSON": "{",
    "NaN": '{"payload": NaN}',
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 5000 + "1" + "}" * 5000,
    "a surrogate": '{"payloadType": "\\ud800"}',
    "a list": "[]",
    "null": "null",
    "empty": "{}",
    "no type": {"payload": "", "signatures": []},
    "type of another type": {"payload": "", "payloadType": 5, "signatures": []},
    "no payload": {"payloadType": "x", "signatures": []},
    "payload of another type": {"payload": ["a"], "payloadType": "x", "signatures": []},
    "payload not base64": {"payload": "???", "payloadType": "x", "signatures": []},
    "no signatures": {"payload": "", "payloadType": "x"},
    "signatures of another type": {"payload": "", "payloadType": "x", "signatures": {"sig": ""}},
    "too long": " " * MAX_ENVELOPE + "{}",
    "a bundle of a message": {"messageSignature": {"signature": "AA=="}},
    "a bundle of nothing": {"mediaType": BUNDLES[0]},
    "a bundle of another type": {"mediaType": BUNDLES[2], "dsseEnvelope": []},
    "a bundle of an empty envelope": {"dsseEnvelope": {}},
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_envelope(name: str) -> None:
    value = UNREADABLE[name]
    with pytest.raises(Unverifiable) as refused:
        read_envelope(value if isinstance(value, str) else json.dumps(value))
    assert refused.value.reason.startswith("The envelope")


@pytest.mark.parametrize("media_type", BUNDLES)
def test_a_bundle_counts_as_the_envelope_inside_it(media_type: str) -> None:
    one = signer()
    key = one.registered()
    made = bundle(envelope(HELLO, one, key_ids=[None]), media_type)
    assert signer_of(made, key) == key
    assert read_envelope(json.dumps(made)).bundled
    assert signer_of(made | {"payload": std(HELLO), "signatures": []}, key) == key
    assert signer_of(bundle(envelope(HELLO, new_signer(), key_ids=[None]), media_type), key) is None


def test_a_bundle_of_a_message_is_told_from_one_of_provenance() -> None:
    with pytest.raises(Unverifiable, match="messageSignature, which states no provenance"):
        read_envelope(json.dumps({"mediaType": BUNDLES[2], "messageSignature": {}}))
    with pytest.raises(Unverifiable, match="without a dsseEnvelope"):
        read_envelope(json.dumps({"mediaType": BUNDLES[2]}))


def test_entries_that_are_no_signatures_are_passed_over() -> None:
    one = signer()
    made = envelope(HELLO, one)
    junk: list[Any] = [None, 1, "x", [], {}, {"sig": 5}, {"sig": None, "keyid": "x"}, {"keyid": "x"}, {"sig": "%%%"}]
    key = one.registered()
    assert signer_of(made | {"signatures": junk + made["signatures"]}, key) == key
    assert signer_of(made | {"signatures": junk}, key) is None


def test_the_rest_of_an_envelope_does_not_matter() -> None:
    one = signer()
    made = envelope(HELLO, one) | {"extra": {"deep": [1]}}
    made["signatures"][0]["cert"] = "-----BEGIN CERTIFICATE-----"
    assert signer_of(made, one.registered()) is not None


def test_a_changed_payload_or_type_has_no_signer() -> None:
    one = signer()
    made = envelope(HELLO, one)
    assert signer_of(made | {"payload": std(b"hello World")}, one.registered()) is None
    assert signer_of(made | {"payloadType": "text/plain"}, one.registered()) is None


def test_a_key_is_named_by_its_id_or_its_fingerprint() -> None:
    one = signer()
    key = one.registered("release-2026")
    for name in ("release-2026", one.fingerprint, None, ""):
        assert signer_of(envelope(HELLO, one, key_ids=[name]), key) == key
    for name in ("release-2025", one.fingerprint.upper(), one.fingerprint[:8], " "):
        assert signer_of(envelope(HELLO, one, key_ids=[name]), key) is None


def test_a_good_signature_under_the_name_of_another_registered_key_is_none() -> None:
    one, other = signer(), signer("ed25519", 1)
    made = envelope(HELLO, one, key_ids=[other.fingerprint])
    assert signer_of(made, one.registered(), other.registered()) is None


def test_a_signature_without_a_name_is_tried_with_every_key() -> None:
    signers = [new_signer() for _ in range(5)]
    keys = [one.registered() for one in signers]
    assert signer_of(envelope(HELLO, signers[4], key_ids=[None]), *keys) == keys[4]
    assert signer_of(envelope(HELLO, new_signer(), key_ids=[None]), *keys) is None
    assert signer_of(envelope(HELLO, signers[4], key_ids=[None])) is None


def test_one_good_signature_among_strangers_is_enough() -> None:
    one = signer()
    made = envelope(HELLO, new_signer(), new_signer(), one)
    assert signer_of(made, one.registered()) is not None


def test_keys_of_every_kind_stand_side_by_side() -> None:
    kinds = [signer(algorithm) for algorithm in ALGORITHMS]
    keys = [one.registered() for one in kinds]
    for one, key in zip(kinds, keys, strict=True):
        assert signer_of(envelope(HELLO, one, key_ids=[None]), *keys) == key


def test_a_stored_key_that_cannot_be_read_any_more_does_not_stand_in_the_way() -> None:
    one = signer()
    key = one.registered()
    broken = ProvenanceKey(key.id, key.org_id, "broken", "b", key.algorithm, "junk", 1, key.created_at)
    assert signer_of(envelope(HELLO, one, key_ids=[None]), broken, key) == key
    assert signer_of(envelope(HELLO, one, key_ids=["b"]), broken, key) is None


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fingerprint of the key of every verification that is made meanwhile; it is made all the same."""
    seen: list[str] = []
    real = PublicKey.verifies

    def counted(key: PublicKey, message: bytes, signature: bytes) -> bool:
        seen.append(key.fingerprint)
        return real(key, message, signature)

    monkeypatch.setattr(PublicKey, "verifies", counted)
    return seen


def junk_signatures(number: int, key_id: str | None) -> list[dict[str, str]]:
    named = {} if key_id is None else {"keyid": key_id}
    return [{"sig": std(n.to_bytes(64)), **named} for n in range(number)]


@pytest.mark.parametrize("named", [True, False])
def test_a_thousand_signatures_cost_sixteen_verifications(tries: list[str], named: bool) -> None:
    one = signer("rsa-pss-sha256")
    made = envelope(HELLO, one)
    flood = junk_signatures(1000, one.fingerprint if named else None)
    assert signer_of(made | {"signatures": flood}, one.registered()) is None
    assert len(tries) == MAX_TRIES_OF_KEY


def test_a_flood_without_names_does_not_hide_a_signature_with_one(tries: list[str]) -> None:
    one = signer()
    made = envelope(HELLO, one)
    flood = junk_signatures(900, None) + junk_signatures(50, "somebody else") + made["signatures"]
    assert signer_of(made | {"signatures": flood}, one.registered()) is not None
    assert len(tries) == 1


def test_verifications_are_bounded_in_all(tries: list[str]) -> None:
    keys = [new_signer().registered() for _ in range(100)]
    made = envelope(HELLO, new_signer()) | {"signatures": junk_signatures(1000, None)}
    assert signer_of(made, *keys) is None
    assert len(tries) == MAX_TRIES
    assert {tries.count(key) for key in set(tries)} == {2, 3}


def test_signatures_beyond_the_thousandth_are_not_looked_at() -> None:
    one = signer()
    made = envelope(HELLO, one)
    flood = junk_signatures(MAX_SIGNATURES - 1, "x")
    assert signer_of(made | {"signatures": flood + made["signatures"]}, one.registered()) is not None
    flood += junk_signatures(1, "x")
    assert signer_of(made | {"signatures": flood + made["signatures"]}, one.registered()) is None


KEYS = [signer(algorithm).registered("k") for algorithm in ALGORITHMS]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "payload": JSON | st.binary(max_size=40).map(std) | st.binary(max_size=40).map(url_safe),
        "payloadType": JSON,
        "signatures": JSON
        | st.lists(
            JSON
            | st.fixed_dictionaries(
                {}, optional={"sig": JSON | st.binary(max_size=80).map(std), "keyid": JSON | st.sampled_from(["k"])}
            ),
            max_size=5,
        ),
    },
)


@given(JSON | ENVELOPES)
def test_arbitrary_json_is_an_envelope_without_a_signer_or_unverifiable(value: Any) -> None:
    with suppress(Unverifiable):
        found = read_envelope(json.dumps(value))
        assert find_signer(pae(found.payload_type, found.payload), found.signatures, KEYS) is None


@given(st.text(max_size=200))
def test_arbitrary_text_is_no_envelope(text: str) -> None:
    with pytest.raises(Unverifiable):
        read_envelope(text)


def test_the_tests_own_signing_is_that_of_the_protocol() -> None:
    assert signed_bytes(HELLO_TYPE, HELLO) == pae(HELLO_TYPE, HELLO)
    assert DsseSignature("x") == DsseSignature("x", None)
