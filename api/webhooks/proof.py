"""Find the webhook config that a delivery proves itself to.

What the headers alone can decide is decided before the body is read; large bodies are hashed in a thread.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api.webhooks.configs import ReceiverConfigs
from integrations.contract import BadDelivery, BadSignature, Sender, SenderProof, Verified
from storage.facts.queries.webhook_configs import ReceiverConfig

HASHED_ON_LOOP = 256 * 1024
"""Bytes that are hashed on the event loop for one delivery, over all secrets that it is compared with."""

NO_CONFIG, SIGNATURE, TOKEN = "no_config", "signature_mismatch", "token_mismatch"


@dataclass
class Proof:
    """One delivery on its way to a config, with what its headers say."""

    configs: ReceiverConfigs
    sender: Sender
    config_id: UUID | None
    headers: Mapping[str, str]
    now: datetime
    hashing: Executor
    arrived: float = field(default_factory=time.monotonic)

    async def check_headers(self) -> None:
        """Raise BadSignature when no body could make these headers valid."""
        reason = _left_open(self.sender, self.headers, self.now)
        configs = await self._configs()
        try:
            self._check_head(reason, configs)
        except BadSignature:
            self._check_head(reason, await self._configs(self.arrived))

    async def of(self, body: bytes) -> tuple[ReceiverConfig, Verified]:
        """Return the config that the body as it was sent belongs to. Raises BadSignature, and BadDelivery.

        The current configs are read if the cached ones do not match, as a secret may have just changed.
        """
        known = await self._configs()
        try:
            return await self._matching(known, body)
        except BadSignature as error:
            if error.reason not in {NO_CONFIG, SIGNATURE, TOKEN}:
                raise
            current = await self._configs(self.arrived)
            if current == known:
                raise
            return await self._matching(current, body)

    async def _configs(self, since: float | None = None) -> tuple[ReceiverConfig, ...]:
        return await self.configs.find(self.sender.source, self.config_id, since)

    def _check_head(self, reason: str, configs: tuple[ReceiverConfig, ...]) -> None:
        """Raise BadSignature without any config, or when the headers hold a token and no config accepts it."""
        if not configs:
            raise BadSignature(NO_CONFIG)
        if reason == TOKEN:
            try:
                self._match(configs, b"")
            except BadDelivery:
                return  # the token holds, and the body says the rest

    async def _matching(self, configs: tuple[ReceiverConfig, ...], body: bytes) -> tuple[ReceiverConfig, Verified]:
        if len(body) * sum(len(config.secrets) for config in configs) <= HASHED_ON_LOOP:
            return self._match(configs, body)
        return await asyncio.get_running_loop().run_in_executor(self.hashing, self._match, configs, body)

    def _match(self, configs: Iterable[ReceiverConfig], body: bytes) -> tuple[ReceiverConfig, Verified]:
        """Return the first config whose secrets match. All are tried, so that the time does not reveal which one."""
        matching: tuple[ReceiverConfig, Verified] | None = None
        reason = NO_CONFIG
        for config in configs:
            try:
                verified = self.sender.verify(self.headers, body, config.secrets, self.now)
                if config.signed and verified.proof is SenderProof.TOKEN:
                    raise BadSignature("token_after_signature")  # noqa: TRY301 - handled like the other reasons
            except BadSignature as error:
                reason = error.reason
            else:
                matching = matching or (config, verified)
        if matching is None:
            raise BadSignature(reason)
        return matching


def _left_open(sender: Sender, headers: Mapping[str, str], now: datetime) -> str:
    """Return what the headers leave to be proven by a secret. Raises BadSignature when they fail by themselves."""
    try:
        sender.verify(headers, b"", (), now)
    except BadSignature as error:
        if error.reason not in {SIGNATURE, TOKEN}:
            raise
        return error.reason
    raise BadSignature(NO_CONFIG)
