"""An OpenID Connect provider on this machine: it keeps what it is sent, checks it, and lies as it is told."""

import asyncio
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.hmac import HMAC
from joserfc import jwk, jws

CLIENT_ID = "trailgate"
CLIENT_SECRET = "s3cret: with + and %"
RUNNER_TOKEN = "given to the runner"
REDIRECT_URI = "https://trailgate.example/sso/callback"

ALGORITHMS = jws.JWSRegistry
"""joserfc's, all of them."""


@dataclass
class Lies:
    """What the provider says instead of the truth. `answers` says what is wrong with the answer of a path, by its
    last segment: `slow`, `html`, `redirect` (to a private address) or `big`."""

    claims: dict[str, Any] = field(default_factory=dict)
    """Replaced or, with None, left out."""
    header: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    keys: list[Any] | None = None
    extra_keys: int = 0
    unsigned: bool = False
    signed_with_public_key: bool = False
    token_error: str | None = None


@dataclass
class Grant:
    """A code that was handed out, and what it was asked for with."""

    nonce: str
    challenge: str
    redirect_uri: str


@dataclass
class IdentityProvider:
    """`claims` are those of whoever signs in; `key` signs."""

    issuer: str = ""
    key: Any = None
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "ada", "email": "ada@example.com", "name": "Ada"})
    lies: Lies = field(default_factory=Lies)
    seen: Counter[str] = field(default_factory=Counter)
    forms: list[dict[str, Any]] = field(default_factory=list)
    grants: dict[str, Grant] = field(default_factory=dict)
    auth_methods: list[str] = field(default_factory=lambda: ["client_secret_basic", "client_secret_post"])

    def rotate(self, kind: str = "RSA") -> None:
        """Sign with another key, whose id is new, too."""
        self.key = new_key(kind)

    def token(self, nonce: str | None = None, **claims: Any) -> str:
        """An id token for the client."""
        now = int(time.time())
        said = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 600, **self.claims, **claims}
        return self.signed(said | ({"nonce": nonce} if nonce is not None else {}))

    def github_token(self, audience: str, **claims: Any) -> str:
        """A token of a GitHub Actions job."""
        return self.token(**{"aud": audience, "jti": secrets.token_hex(8), **GITHUB_CLAIMS, **claims})

    def gitlab_token(self, audience: str, **claims: Any) -> str:
        """A token of a GitLab CI job."""
        return self.token(**{"aud": audience, "jti": secrets.token_hex(8), **GITLAB_CLAIMS, **claims})

    def signed(self, claims: Mapping[str, Any]) -> str:
        """Any claims, signed, or as the lies have it."""
        said = {name: value for name, value in {**claims, **self.lies.claims}.items() if value is not None}
        header = {"alg": algorithm_of(self.key), "kid": self.key.kid, **self.lies.header}
        header = {name: value for name, value in header.items() if value is not None}
        if self.lies.unsigned:
            return compact(header | {"alg": "none"}, said, b"")
        if self.lies.signed_with_public_key:
            header |= {"alg": "HS256"}
            return compact(header, said, hmac_signature(public_pem(self.key), header, said))
        signer = ALGORITHMS.algorithms.get(header["alg"]) or ALGORITHMS.algorithms["none"]
        if signer.key_type != self.key.key_type:
            signer = ALGORITHMS.algorithms[algorithm_of(self.key)]
        return compact(header, said, signer.sign(unsigned(header, said), self.key))

    async def actions_token(self, request: web.Request) -> web.StreamResponse:
        """As the runner of GitHub Actions gives it to a job."""
        assert request.headers["Authorization"] == f"Bearer {RUNNER_TOKEN}"
        assert request.query["api-version"] == "2.0"
        return web.json_response({"value": self.github_token(request.query["audience"])})

    async def discovery(self, request: web.Request) -> web.StreamResponse:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=acme",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": self.auth_methods,
        }
        return web.json_response({**document, **self.lies.discovery})

    async def jwks(self, request: web.Request) -> web.StreamResponse:
        own = {**self.key.as_dict(private=False), "kid": self.key.kid, "use": "sig"}
        keys = [own] if self.lies.keys is None else self.lies.keys
        more = [{**own, "kid": f"extra-{n}"} for n in range(self.lies.extra_keys)]
        return web.json_response({"keys": [*keys, *more]})

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """As if the person had signed in and agreed."""
        asked = request.query
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(asked["nonce"], asked["code_challenge"], asked["redirect_uri"])
        raise web.HTTPFound(f"{asked['redirect_uri']}?code={code}&state={asked['state']}")

    async def redeem(self, request: web.Request) -> web.StreamResponse:
        form = dict(await request.post())
        self.forms.append(form)
        grant = self.grants.pop(str(form.get("code")), None)
        error = self.lies.token_error or self._refusal(request, form, grant)
        if error or grant is None:
            return web.json_response({"error": error, "error_description": "<b>secret</b>"}, status=400)
        return web.json_response(
            {"access_token": "unused", "token_type": "Bearer", "id_token": self.token(grant.nonce)}
        )

    def _refusal(self, request: web.Request, form: Mapping[str, Any], grant: Grant | None) -> str | None:
        if credentials(request, form) != (CLIENT_ID, CLIENT_SECRET):
            return "invalid_client"
        if grant is None or form.get("redirect_uri") != grant.redirect_uri:
            return "invalid_grant"
        digest = sha256(str(form.get("code_verifier")).encode()).digest()
        return None if encoded(digest) == grant.challenge else "invalid_grant"

    @web.middleware
    async def lying(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Count the request, and answer as told."""
        name = request.path.rpartition("/")[2]
        self.seen[name] += 1
        match self.lies.answers.get(name):
            case "slow":
                await asyncio.sleep(30)
            case "html":
                return web.Response(text="<html>Sign in</html>", content_type="text/html")
            case "redirect":
                raise web.HTTPFound("http://10.0.0.1/internal")
            case "big":
                return web.Response(text='{"a": "' + "x" * 2**19 + '"}', content_type="application/json")
        found: web.StreamResponse = await handler(request)
        return found


@asynccontextmanager
async def identity_provider(kind: str = "RSA") -> AsyncIterator[IdentityProvider]:
    """A provider on 127.0.0.1, which settings with outbound_allow 127.0.0.0/8 let us reach."""
    provider = IdentityProvider(key=new_key(kind))
    app = web.Application(middlewares=[provider.lying])
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/jwks", provider.jwks)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.redeem)
    app.router.add_get("/actions", provider.actions_token)
    async with TestServer(app, host="127.0.0.1") as server:
        provider.issuer = str(server.make_url("")).rstrip("/")
        yield provider


def new_key(kind: str) -> Any:
    """A key with an id of its own. RSA keys are slow to make, so the numbers are made once for each turn."""
    _turns[kind] += 1
    found = _made(kind, _turns[kind] % 2)
    return jwk.import_key({**found, "kid": secrets.token_hex(8)})


_turns: Counter[str] = Counter()


@cache
def _made(kind: str, turn: int) -> dict[str, Any]:
    size: Any = {"RSA": 2048, "RSA-4096": 4096}.get(kind)
    if size:
        return jwk.generate_key("RSA", size).as_dict(private=True)
    if kind == "Ed25519":
        return jwk.generate_key("OKP", "Ed25519").as_dict(private=True)
    return jwk.ECKey.generate_key(kind).as_dict(private=True)


def algorithm_of(key: Any) -> str:
    if key.key_type == "EC":
        return {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.curve_name]
    return "RS256" if key.key_type == "RSA" else "EdDSA"


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> bytes:
    return f"{encoded(orjson.dumps(header))}.{encoded(orjson.dumps(claims))}".encode()


def compact(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes) -> str:
    return f"{unsigned(header, claims).decode()}.{encoded(signature)}"


def public_pem(key: Any) -> bytes:
    found: bytes = key.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


def hmac_signature(secret: bytes, header: Mapping[str, Any], claims: Mapping[str, Any]) -> bytes:
    mac = HMAC(secret, hashes.SHA256())
    mac.update(unsigned(header, claims))
    return mac.finalize()


def credentials(request: web.Request, form: Mapping[str, Any]) -> tuple[str, str]:
    """Client id and secret, from the header or the form."""
    kind, _, sent = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        user, _, password = b64decode(sent).decode().partition(":")
        return unquote_plus(user), unquote_plus(password)
    return str(form.get("client_id")), str(form.get("client_secret"))


GITHUB_CLAIMS = {
    "sub": "repo:acme/shop:environment:production",
    "repository": "acme/shop",
    "repository_id": "1001",
    "repository_owner": "acme",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "sha": "a" * 40,
    "environment": "production",
    "workflow_ref": "acme/shop/.github/workflows/release.yml@refs/heads/main",
    "run_id": "4242",
    "run_attempt": "1",
    "actor": "ada",
    "event_name": "push",
}

GITLAB_CLAIMS = {
    "sub": "project_path:acme/shop:ref_type:branch:ref:main",
    "project_path": "acme/shop",
    "project_id": "2002",
    "namespace_path": "acme",
    "ref": "main",
    "ref_type": "branch",
    "sha": "b" * 40,
    "environment": "production",
    "pipeline_source": "push",
    "pipeline_id": "77",
    "user_login": "ada",
    "ci_config_ref_uri": "gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main",
}
