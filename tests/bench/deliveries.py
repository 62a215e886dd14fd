"""GitHub deliveries as the scenarios send them. Imports nothing of the product, so that the peers can use it."""

import hmac
from functools import cache
from hashlib import sha1

from tests.paths import FIXTURES

SECRET = "bench-webhook-secret"
_COMMIT = b"9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
_RUN = b"13801245567"
_FIRST_RUN = 10_000_000_000


def signed(event: str, body: bytes, delivery_id: str, signature: str | None = None) -> dict[str, str]:
    """The headers of a GitHub delivery of this body."""
    signature = signature or hmac.digest(SECRET.encode(), body, "sha256").hex()
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery_id,
        "X-Hub-Signature-256": f"sha256={signature}",
    }


def push(number: str = "0") -> bytes:
    """A push as GitHub sends it, about 6 KB; the number makes it unlike all others."""
    return _fixture("push__branch").rstrip().removesuffix(b"}") + b', "number": "%b"}' % number.encode()


def workflow_run(number: int) -> bytes:
    """A successful workflow run of a commit of its own; the commits of consecutive numbers have no order."""
    commit = sha1(b"commit %d" % number).hexdigest()
    return (
        _fixture("workflow_run__success").replace(_COMMIT, commit.encode()).replace(_RUN, b"%d" % (_FIRST_RUN + number))
    )


@cache
def _fixture(name: str) -> bytes:
    return (FIXTURES / "github" / f"{name}.json").read_bytes()
