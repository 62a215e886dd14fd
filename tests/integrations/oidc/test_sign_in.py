"""A person signs in at a provider, which may answer anything."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from yarl import URL

from domain.errors import Invalid
from integrations.oidc import answers
from integrations.oidc.answers import ProviderError, ProviderFailure
from integrations.oidc.discovery import Providers, checked_issuer
from integrations.oidc.keys import KeySets
from integrations.oidc.sign_in import SignIn, authorization_url, new_sign_in, redeem
from integrations.oidc.tokens import verify
from storage.outbound import open_outbound
from storage.settings import Settings
from tests.storage.receiving import LOCAL
from tests.vendors.identity_provider import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, IdentityProvider, identity_provider


@pytest.fixture
async def idp() -> AsyncIterator[IdentityProvider]:
    async with identity_provider() as provider:
        yield provider


@pytest.fixture
async def outbound() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_outbound(LOCAL) as session:
        yield session


async def agreed(idp: IdentityProvider, outbound: aiohttp.ClientSession, sign_in: SignIn) -> str:
    """The code with which the provider sends a person back."""
    url = URL(authorization_url(await Providers(outbound).get(idp.issuer), CLIENT_ID, REDIRECT_URI, sign_in))
    assert url.query["tenant"] == "acme"
    async with aiohttp.ClientSession() as browser, browser.get(url, allow_redirects=False) as answer:
        back = URL(answer.headers["Location"])
    assert back.query["state"] == sign_in.state
    return back.query["code"]


async def redeemed(idp: IdentityProvider, outbound: aiohttp.ClientSession, **changes: Any) -> str:
    sign_in = new_sign_in()
    sent = {
        "client_secret": CLIENT_SECRET,
        "code": await agreed(idp, outbound, sign_in),
        "redirect_uri": REDIRECT_URI,
        "verifier": sign_in.verifier,
        **changes,
    }
    provider = await Providers(outbound).get(idp.issuer)
    token = await redeem(outbound, provider, CLIENT_ID, **sent)
    await verify(token, provider, KeySets(outbound), CLIENT_ID, datetime.now(UTC), nonce=sign_in.nonce)
    return token


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_person_signs_in(idp: IdentityProvider, outbound: aiohttp.ClientSession, method: str) -> None:
    idp.auth_methods = [method]
    await redeemed(idp, outbound)
    assert ("client_secret" in idp.forms[0]) is (method == "client_secret_post")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_secret": "other"}, "invalid_client"),
        ({"code": "other"}, "invalid_grant"),
        ({"redirect_uri": "https://elsewhere.example"}, "invalid_grant"),
        ({"verifier": "other"}, "invalid_grant"),
    ],
)
async def test_the_provider_refuses(
    idp: IdentityProvider, outbound: aiohttp.ClientSession, changes: dict[str, str], code: str
) -> None:
    with pytest.raises(ProviderError) as refused:
        await redeemed(idp, outbound, **changes)
    assert refused.value.reason is ProviderFailure.SIGN_IN_REFUSED
    assert refused.value.message == f"The identity provider refused the sign-in (400): {code}."


@pytest.mark.parametrize("code", ["x" * 61, "<b>", "a\nb"])
async def test_an_odd_error_code_is_not_shown(
    idp: IdentityProvider, outbound: aiohttp.ClientSession, code: str
) -> None:
    idp.lies.token_error = code
    with pytest.raises(ProviderError, match=r"sign-in \(400\)\.$"):
        await redeemed(idp, outbound)


@pytest.mark.parametrize("path", ["openid-configuration", "jwks", "token"])
@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("html", ProviderFailure.NOT_JSON),
        ("redirect", ProviderFailure.REDIRECT),
        ("big", ProviderFailure.TOO_LARGE),
        ("slow", ProviderFailure.TIMEOUT),
    ],
)
async def test_a_bad_answer_is_the_providers_failure(
    idp: IdentityProvider,
    outbound: aiohttp.ClientSession,
    *,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    lie: str,
    reason: ProviderFailure,
) -> None:
    code = await agreed(idp, outbound, sign_in := new_sign_in())
    monkeypatch.setattr(answers, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    idp.lies.answers = {path: lie}
    with pytest.raises(ProviderError) as failed:
        await redeemed(idp, outbound, code=code, verifier=sign_in.verifier)
    assert failed.value.reason is reason


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"issuer": "https://elsewhere.example"}, ProviderFailure.WRONG_ISSUER),
        ({"issuer": 7}, ProviderFailure.WRONG_ISSUER),
        ({"jwks_uri": None}, ProviderFailure.MALFORMED),
        ({"jwks_uri": "file:///etc/passwd"}, ProviderFailure.MALFORMED),
        ({"authorization_endpoint": "javascript:alert(1)"}, ProviderFailure.MALFORMED),
        ({"token_endpoint": "https://user@host/token"}, ProviderFailure.MALFORMED),
    ],
)
async def test_a_document_that_cannot_be_used(
    idp: IdentityProvider, outbound: aiohttp.ClientSession, lie: dict[str, Any], reason: ProviderFailure
) -> None:
    idp.lies.discovery = lie
    now = [0.0]
    providers = Providers(outbound, lambda: now[0])
    for _ in range(3):
        with pytest.raises(ProviderError) as failed:
            await providers.get(idp.issuer)
        assert failed.value.reason is reason
    assert idp.seen["openid-configuration"] == 1
    idp.lies.discovery = {}
    now[0] += 4
    await providers.get(idp.issuer)


async def test_a_slash_at_the_end_is_the_same_issuer(idp: IdentityProvider, outbound: aiohttp.ClientSession) -> None:
    idp.lies.discovery = {"issuer": idp.issuer + "/"}
    assert (await Providers(outbound).get(idp.issuer + "/")).issuer == idp.issuer + "/"


async def test_a_private_address_is_refused(idp: IdentityProvider) -> None:
    async with open_outbound(Settings()) as guarded:
        with pytest.raises(ProviderError, match="may not be reached") as refused:
            await Providers(guarded).get(idp.issuer)
    assert refused.value.reason is ProviderFailure.ADDRESS_REFUSED
    assert not idp.seen


@pytest.mark.parametrize(
    "issuer",
    ["", "idp", "ftp://a", "https://", "https://u:p@a", "https://a?b=c", "https://a/?", "https://a#b", "https://a/#"],
)
def test_a_bad_issuer(issuer: str) -> None:
    with pytest.raises(Invalid):
        checked_issuer(issuer)
