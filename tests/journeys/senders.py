"""Senders of webhooks: what they sign, and how they insist."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from hmac import digest

import aiohttp
from standardwebhooks import Webhook

from tests.paths import FIXTURES

COMMIT = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
"""The commit of every GitHub fixture."""
INSISTENCE = 60
"""Seconds for which a sender tries again."""


@dataclass(frozen=True)
class Delivery:
    """One signed request, the same at every attempt."""

    id: str
    body: bytes
    headers: Mapping[str, str]


def hex_hmac(secret: str, body: bytes) -> str:
    """The signature that GitHub and simple senders use."""
    return "sha256=" + digest(secret.encode(), body, "sha256").hex()


def github(secret: str, delivery_id: str, event: str, body: bytes) -> Delivery:
    """As GitHub sends it."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Delivery": delivery_id,
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": hex_hmac(secret, body),
    }
    return Delivery(delivery_id, body, headers)


def fixture(name: str, commit: str = COMMIT) -> bytes:
    """A captured GitHub payload, retold of another commit."""
    text = (FIXTURES / "github" / f"{name}.json").read_bytes()
    return text.replace(COMMIT.encode(), commit.encode()).replace(COMMIT.upper().encode(), commit.upper().encode())


def commit_of(*words: object) -> str:
    """A commit of its own for these words."""
    return sha1("/".join(map(str, words)).encode()).hexdigest()


def build(secret: str, delivery_id: str, commit: str, conclusion: str = "success") -> Delivery:
    """A finished workflow run, like no other: one BUILD attestation on the commit's trail."""
    body = fixture(f"workflow_run__{conclusion}", commit).rstrip().removesuffix(b"}")
    return github(secret, delivery_id, "workflow_run", body + f', "delivery": "{delivery_id}"}}'.encode())


def standard(secret: str, message_id: str, body: bytes, at: datetime | None = None) -> Delivery:
    """Signed by the library of Standard Webhooks, as its users do."""
    moment = at or datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode()),
    }
    return Delivery(message_id, body, headers)


class Sender:
    """Posts like a webhook sender: after a lost connection or a 5xx again, with the same id, until it is told 202."""

    def __init__(self, session: aiohttp.ClientSession, path: str, rng: random.Random | None = None) -> None:
        self._session = session
        self._path = path
        self._rng = rng or random.Random(1)
        self.answers: Counter[int | str] = Counter()
        """How often each status came; `lost` where there was no answer."""
        self.receipts: dict[str, set[str]] = {}
        """Every receipt that was given, by delivery id."""
        self.accepted: Counter[str] = Counter()
        """How many 202 each delivery id got."""

    async def attempt(self, delivery: Delivery) -> str | None:
        """One attempt: the receipt id, or None where it was not accepted."""
        try:
            async with self._session.post(self._path, data=delivery.body, headers=delivery.headers) as response:
                answer = await response.json()
                self.answers[response.status] += 1
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.answers["lost"] += 1
            return None
        if response.status != 202:
            assert response.status >= 500, answer
            return None
        receipt: str = answer["receiptId"]
        self.receipts.setdefault(delivery.id, set()).add(receipt)
        self.accepted[delivery.id] += 1
        return receipt

    async def deliver(self, delivery: Delivery) -> str:
        """Until it is accepted: the receipt id. Fails when that takes longer than any restart here may last."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + INSISTENCE
        while (receipt := await self.attempt(delivery)) is None:
            assert loop.time() < deadline, f"not accepted within {INSISTENCE} s: {dict(self.answers)}"
            await asyncio.sleep(self._rng.uniform(0.02, 0.2))
        return receipt
