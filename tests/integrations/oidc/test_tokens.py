"""Tokens that a provider signed, and every way in which one can be wrong."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Unauthenticated
from integrations.oidc.discovery import Provider, Providers
from integrations.oidc.keys import MAX_KEYS, KeySets, usable_keys
from integrations.oidc.tokens import BadToken, Claims, TokenFault, issuer_of, verify
from storage.outbound import open_outbound
from tests.storage.receiving import LOCAL
from tests.vendors.identity_provider import CLIENT_ID, IdentityProvider, Lies, identity_provider, new_key


class Side:
    """Our side: what this process remembers of the provider. Time moves when told."""

    def __init__(self, idp: IdentityProvider, outbound: Any) -> None:
        self.idp = idp
        self.seconds = 0.0
        self.providers = Providers(outbound, lambda: self.seconds)
        self.keys = KeySets(outbound, lambda: self.seconds)

    async def verify(self, token: str, **more: Any) -> Claims:
        provider = await self.providers.get(self.idp.issuer)
        return await verify(token, provider, self.keys, CLIENT_ID, datetime.now(UTC), **more)

    async def fault(self, token: str, **more: Any) -> TokenFault:
        with pytest.raises(BadToken) as refused:
            await self.verify(token, **more)
        assert refused.value.message == "The token is not valid."
        return refused.value.reason


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    async with identity_provider() as idp, open_outbound(LOCAL) as outbound:
        yield Side(idp, outbound)


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-384", "P-521", "Ed25519"])
async def test_a_token_of_every_kind_of_key_is_accepted(side: Side, kind: str) -> None:
    side.idp.rotate(kind)
    claims = await side.verify(side.idp.token(nonce="n"), nonce="n")
    assert (claims.subject, claims.issuer, claims.audience) == ("ada", side.idp.issuer, (CLIENT_ID,))
    assert claims.values["email"] == "ada@example.com"
    assert issuer_of(side.idp.token()) == side.idp.issuer


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
async def test_a_token_of_every_rsa_algorithm_is_accepted(side: Side, algorithm: str) -> None:
    side.idp.lies.header = {"alg": algorithm}
    assert (await side.verify(side.idp.token())).subject == "ada"


NOW = int(time.time())
WRONG: list[tuple[Lies, TokenFault]] = [
    (Lies(unsigned=True), TokenFault.ALGORITHM),
    (Lies(signed_with_public_key=True), TokenFault.ALGORITHM),
    (Lies(header={"alg": "ES256"}), TokenFault.UNFIT_KEY),
    (Lies(header={"alg": "None"}), TokenFault.ALGORITHM),
    (Lies(header={"kid": "unknown"}), TokenFault.UNKNOWN_KEY),
    (Lies(header={"kid": 7}), TokenFault.UNKNOWN_KEY),
    (Lies(header={"x": "x" * 10_000}), TokenFault.TOO_LARGE),
    (Lies(header={"crit": ["exp"]}), TokenFault.CRITICAL_HEADER),
    (Lies(header={"b64": False}), TokenFault.CRITICAL_HEADER),
    (Lies(claims={"x": "x" * 16_384}), TokenFault.TOO_LARGE),
    (Lies(claims={"iss": "https://elsewhere.example"}), TokenFault.ISSUER),
    (Lies(claims={"iss": ["a"]}), TokenFault.ISSUER),
    (Lies(claims={"aud": "somebody"}), TokenFault.AUDIENCE),
    (Lies(claims={"aud": []}), TokenFault.AUDIENCE),
    (Lies(claims={"aud": None}), TokenFault.AUDIENCE),
    (Lies(claims={"aud": [CLIENT_ID, 1]}), TokenFault.AUDIENCE),
    (Lies(claims={"aud": [CLIENT_ID, "other"]}), TokenFault.AUDIENCE),
    (Lies(claims={"azp": "other"}), TokenFault.AUDIENCE),
    (Lies(claims={"exp": NOW - 1}), TokenFault.EXPIRED),
    (Lies(claims={"exp": None}), TokenFault.MALFORMED),
    (Lies(claims={"exp": "later"}), TokenFault.MALFORMED),
    (Lies(claims={"exp": True}), TokenFault.MALFORMED),
    (Lies(claims={"exp": 1e300}), TokenFault.MALFORMED),
    (Lies(claims={"nbf": NOW + 600}), TokenFault.NOT_YET_VALID),
    (Lies(claims={"iat": NOW + 600, "exp": NOW + 1200}), TokenFault.NOT_YET_VALID),
    (Lies(claims={"iat": None}), TokenFault.MALFORMED),
    (Lies(claims={"iat": NOW - 90_000}), TokenFault.TOO_OLD),
    (Lies(claims={"sub": None}), TokenFault.SUBJECT),
    (Lies(claims={"sub": ""}), TokenFault.SUBJECT),
    (Lies(claims={"sub": "x" * 256}), TokenFault.SUBJECT),
    (Lies(claims={"nonce": "other"}), TokenFault.NONCE),
    (Lies(claims={"nonce": None}), TokenFault.NONCE),
    (Lies(claims={"nonce": 1}), TokenFault.NONCE),
]


@pytest.mark.parametrize(("lies", "fault"), WRONG)
async def test_a_lie_is_refused(side: Side, lies: Lies, fault: TokenFault) -> None:
    side.idp.lies = lies
    assert await side.fault(side.idp.token(nonce="n"), nonce="n") is fault


async def test_several_audiences_need_the_party_it_was_issued_to(side: Side) -> None:
    await side.verify(side.idp.token(aud=["other", CLIENT_ID], azp=CLIENT_ID))


async def test_clocks_may_differ_by_a_minute(side: Side) -> None:
    now = int(time.time())
    await side.verify(side.idp.token(iat=now + 30, nbf=now + 30))


async def test_a_changed_token_is_refused(side: Side) -> None:
    header, _, signature = side.idp.token().split(".")
    forged = f"{header}.{side.idp.token(sub='eve').split('.')[1]}.{signature}"
    assert await side.fault(forged) is TokenFault.SIGNATURE
    assert await side.fault(f"{header}.e30.") is TokenFault.SIGNATURE


async def test_rotation_works_at_once_and_unknown_keys_ask_seldom(side: Side) -> None:
    await side.verify(side.idp.token())
    side.idp.rotate("P-256")
    await side.verify(side.idp.token())
    assert side.idp.seen["jwks"] == 2
    good = side.idp.token()
    side.idp.lies.header = {"kid": "unknown"}
    for _ in range(5):
        assert await side.fault(side.idp.token()) is TokenFault.UNKNOWN_KEY
    assert side.idp.seen["jwks"] == 2
    side.seconds += 31
    side.idp.lies.answers = {"jwks": "html"}
    with pytest.raises(Exception, match="without JSON"):
        await side.verify(side.idp.token())
    await side.verify(good)
    assert side.idp.seen["jwks"] == 3


async def test_those_who_wait_share_one_fetch(side: Side) -> None:
    await asyncio.gather(*(side.verify(side.idp.token()) for _ in range(20)))
    assert (side.idp.seen["openid-configuration"], side.idp.seen["jwks"]) == (1, 1)
    side.seconds += 3601
    await side.verify(side.idp.token())
    assert (side.idp.seen["openid-configuration"], side.idp.seen["jwks"]) == (2, 2)


async def test_a_token_without_key_id_needs_a_single_key(side: Side) -> None:
    side.idp.lies.header = {"kid": None}
    await side.verify(side.idp.token())
    side.idp.lies.extra_keys = 1
    side.seconds += 3601
    assert await side.fault(side.idp.token()) is TokenFault.UNKNOWN_KEY


async def test_of_a_thousand_keys_the_first_hundred_count(side: Side) -> None:
    key = new_key("P-256")
    many = [{**key.as_dict(private=False), "kid": str(n)} for n in range(1000)]
    assert [one.id for one in usable_keys(many)] == [str(n) for n in range(MAX_KEYS)]
    side.idp.lies.keys = many
    assert await side.fault(side.idp.token()) is TokenFault.UNKNOWN_KEY


def test_unusable_keys_are_ignored() -> None:
    good = new_key("RSA").as_dict(private=False)
    bad: list[Any] = [
        7,
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {**good, "use": "enc"},
        {**good, "key_ops": ["encrypt"]},
        {**good, "n": good["n"][:100]},
        {**good, "n": good["n"] * 10},
        {**good, "e": good["n"]},
        {**good, "n": 5},
        {**good, "n": "é"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": ["P-256"]},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": ["RSA"]},
    ]
    assert [one.key.key_type for one in usable_keys([*bad, good])] == ["RSA"]


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}")))
def test_arbitrary_text_raises_only_the_typed_error(text: str) -> None:
    provider = Provider("https://idp.example", None, None, "https://idp.example/jwks", frozenset())
    with pytest.raises(Unauthenticated):
        issuer_of(text)
    with pytest.raises(Unauthenticated):
        asyncio.run(verify(text, provider, None, CLIENT_ID, datetime.now(UTC)))  # type: ignore[arg-type]
