"""A message that is ready to be sent, or the reason why it is not to be sent at all."""

import re
from dataclasses import dataclass

from domain.notifications.deliveries import MessageStatus
from integrations.channels import ChannelTarget, Outgoing


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message with its channel and target. `hidden` is a text that no error shown to people may contain."""

    outgoing: Outgoing
    target: ChannelTarget
    channel: str
    hidden: str | None = None

    def shown(self, text: str) -> str:
        """Return a text without what is hidden."""
        return re.sub(re.escape(self.hidden), "…", text, flags=re.IGNORECASE) if self.hidden else text


class Unsendable(Exception):  # noqa: N818 - an outcome
    """The message is settled with this status, without an attempt. The reason may be shown to people."""

    def __init__(self, status: MessageStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
