"""Which keys may be registered, and which signatures they know for theirs."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.facts.provenance import KeyAlgorithm
from integrations.formats.dsse.keys import read_public_key
from tests.integrations.formats.dsse.signing import ALGORITHMS, Signer, new_signer, pss, raw, signer

MESSAGE = b"what was built"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_knows_its_own_signature_and_no_other(algorithm: str) -> None:
    one, other = signer(algorithm), new_signer(algorithm)
    key = read_public_key(one.pem)
    assert key.algorithm is KeyAlgorithm(algorithm)
    assert key.fingerprint == one.fingerprint
    made = one.sign(MESSAGE)
    assert key.verifies(MESSAGE, made)
    assert not key.verifies(MESSAGE + b".", made)
    assert not key.verifies(MESSAGE, other.sign(MESSAGE))
    for bent in (b"", made[:-1], made + b"\0", bytes([made[0] ^ 1]) + made[1:], b"\0" * len(made), b"\xff" * 64):
        assert not key.verifies(MESSAGE, bent)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(junk=st.binary(max_size=600))
def test_junk_is_no_signature(algorithm: str, junk: bytes) -> None:
    assert not read_public_key(signer(algorithm).pem).verifies(MESSAGE, junk)


def test_ecdsa_is_taken_as_der_and_as_r_and_s() -> None:
    one = signer("ecdsa-p256-sha256")
    key = read_public_key(one.pem)
    for _ in range(20):
        der = one.sign(MESSAGE)
        assert key.verifies(MESSAGE, der)
        assert key.verifies(MESSAGE, raw(der))
        assert not key.verifies(MESSAGE, raw(der)[::-1])
    assert not key.verifies(MESSAGE, b"\0" * 64)
    assert not key.verifies(MESSAGE, one.private.sign(MESSAGE, ec.ECDSA(SHA384())))


def test_the_salt_of_pss_may_have_any_length_but_the_hash_is_sha256() -> None:
    one = signer("rsa-pss-sha256")
    key = read_public_key(one.pem)
    for salt in (0, 20, 32, 222):
        assert key.verifies(MESSAGE, one.private.sign(MESSAGE, pss(salt), SHA256()))
    assert not key.verifies(MESSAGE, one.private.sign(MESSAGE, pss(32), SHA384()))


def test_a_pem_is_taken_as_people_paste_it_and_kept_in_one_form() -> None:
    pem = signer().pem
    for pasted in (pem, pem.strip(), f"\n  {pem}\n\n", pem.replace("\n", "\r\n"), pem.replace("\n", "")):
        assert read_public_key(pasted).pem == pem


UNSUPPORTED: dict[str, Any] = {
    "Ed448": ed448.Ed448PrivateKey.generate(),
    "X25519": x25519.X25519PrivateKey.generate(),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "DSA": dsa.generate_private_key(1024),
    "RSA of 1024 bits": rsa.generate_private_key(65537, 1024),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_other_keys_are_refused(name: str) -> None:
    public = UNSUPPORTED[name].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(Invalid) as refused:
        read_public_key(pem)
    assert refused.value.details[0].field == "publicKeyPem"


def test_an_rsa_key_has_bounds_of_size_and_exponent() -> None:
    for numbers in (rsa.RSAPublicNumbers(65537, 2**8200 + 1), rsa.RSAPublicNumbers(2**40 + 1, 2**2047 + 1)):
        pem = numbers.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        with pytest.raises(Invalid, match="bits"):
            read_public_key(pem)


def private_forms(private: rsa.RSAPrivateKey) -> list[str]:
    one = Signer.of(private)
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    older = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    plain = one.private_pem
    return [plain, older.decode(), locked.decode(), one.pem + plain, plain + one.pem]


def test_a_private_key_is_refused_and_never_repeated() -> None:
    for pem in private_forms(signer("rsa-pss-sha256").private):
        with pytest.raises(Invalid, match="private key") as refused:
            read_public_key(pem)
        told = refused.value.message + repr(refused.value.details) + repr(refused.value.__cause__)
        assert not [line for line in pem.splitlines() if len(line) > 40 and line in told]


PEM = Signer.of(ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32)).pem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        PEM + PEM,
        PEM.replace("MCow", "MCoW"),
        PEM.replace("BEGIN PUBLIC", "BEGIN RSA PUBLIC"),
        "junk before " + PEM,
        PEM.replace("MCow", "M\udc00ow"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_public_key(text)
    assert refused.value.details[0].field == "publicKeyPem"


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for candidate in (text, f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----"):
        with pytest.raises(Invalid):
            read_public_key(candidate)
