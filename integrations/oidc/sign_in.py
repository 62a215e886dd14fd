"""Sign-in of a person at an identity provider: authorization code with PKCE, state and nonce."""

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote_plus

import aiohttp
from yarl import URL

from integrations.oidc.answers import ProviderError, ProviderFailure, failure, request_object
from integrations.oidc.discovery import Provider
from integrations.oidc.tokens import MAX_TOKEN

SCOPE = "openid profile email"
MAX_ANSWER = 64 * 1024
_ERROR_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")


@dataclass(frozen=True, slots=True)
class SignIn:
    """The secrets of one sign-in; only `state` and `nonce` are sent to the browser."""

    state: str
    nonce: str
    verifier: str

    @property
    def challenge(self) -> str:
        """The PKCE challenge (RFC 7636, method S256)."""
        return urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


def new_sign_in() -> SignIn:
    """Make the secrets of a sign-in, 256 random bits each."""
    return SignIn(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


def authorization_url(provider: Provider, client_id: str, redirect_uri: str, sign_in: SignIn) -> str:
    """Return where to send the browser; a query of the endpoint is kept. Raises ProviderError without an endpoint."""
    endpoint = _endpoint(provider.authorization_endpoint, provider, "authorization_endpoint")
    return str(
        URL(endpoint).update_query(
            response_type="code",
            client_id=client_id,
            redirect_uri=redirect_uri,
            scope=SCOPE,
            state=sign_in.state,
            nonce=sign_in.nonce,
            code_challenge=sign_in.challenge,
            code_challenge_method="S256",
        )
    )


async def redeem(
    session: aiohttp.ClientSession,
    provider: Provider,
    client_id: str,
    client_secret: str | None,
    *,
    code: str,
    redirect_uri: str,
    verifier: str,
) -> str:
    """Exchange a code for an id token, which is still to be verified. Raises ProviderError."""
    url = _endpoint(provider.token_endpoint, provider, "token_endpoint")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        "client_id": client_id,
    }
    headers = {}
    if client_secret is not None and "client_secret_basic" in provider.token_endpoint_auth_methods:
        encoded = aiohttp.encode_basic_auth(quote_plus(client_id), quote_plus(client_secret))  # RFC 6749, 2.3.1
        headers["Authorization"] = encoded
    elif client_secret is not None:
        form["client_secret"] = client_secret
    status, answer = await request_object(session, "POST", url, MAX_ANSWER, data=form, headers=headers)
    return _id_token(url, status, answer)


def _id_token(url: str, status: int, answer: Mapping[str, Any]) -> str:
    if status != 200:  # noqa: PLR2004
        code = answer.get("error")
        named = f": {code}" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
        raise ProviderError(
            ProviderFailure.SIGN_IN_REFUSED, f"The identity provider refused the sign-in ({status}){named}."
        )
    token = answer.get("id_token")
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise failure(ProviderFailure.MALFORMED, url, "answered without a usable id_token")
    return token


def _endpoint(url: str | None, provider: Provider, name: str) -> str:
    if url is None:
        raise failure(ProviderFailure.MALFORMED, provider.issuer, f"names no {name} in its discovery document")
    return url
