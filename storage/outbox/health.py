"""The health of the destinations of all organisations, for operators."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.notifications.rules import Channel
from storage.database import Reader


@dataclass(frozen=True, slots=True)
class DestinationHealth:
    """A destination that an active rule uses. `rule_id` is the newest of these rules."""

    id: UUID
    org_slug: str
    channel: str
    label: str
    rule_id: UUID
    failures: int
    failing_since: datetime | None
    paused_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None

    @property
    def over_http(self) -> bool:
        """Whether its address is a URL."""
        return self.channel in (Channel.WEBHOOK, Channel.SLACK)


_IN_USE = """
SELECT d.id, o.slug AS org_slug, d.channel, d.label, r.rule_id, d.failures, d.failing_since, d.paused_until,
       d.disabled_at, d.disabled_reason
FROM destinations d
JOIN organisations o ON o.id = d.org_id
CROSS JOIN LATERAL (
  SELECT id AS rule_id FROM notification_rules
  WHERE org_id = d.org_id AND destination_id = d.id AND is_active AND archived_at IS NULL
  ORDER BY created_at DESC LIMIT 1
) r
ORDER BY d.disabled_at, d.failing_since, d.paused_until, d.id LIMIT $1
"""


async def destinations_in_use(reader: Reader, limit: int) -> list[DestinationHealth]:
    """Return up to `limit` destinations in use: disabled ones first, then failing, paused and healthy ones."""
    return [DestinationHealth(**row) for row in await reader.rows(_IN_USE, limit)]
