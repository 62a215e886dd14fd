"""Notifications about the health of a destination. They are in-app only: other channels may be what fails."""

from domain.notifications.deliveries import HealthEvent
from domain.notifications.triggers import Severity
from storage.notifications.commands.inapp import NewNotification
from storage.outbox.settlement import HealthChange

_TEXTS = {
    HealthEvent.FAILING: (
        Severity.WARNING,
        "Deliveries to {label} keep failing",
        "They are retried for about a day. {reason}",
    ),
    HealthEvent.EXHAUSTED: (
        Severity.CRITICAL,
        "A message to {label} was given up",
        "Repair the destination, then replay its dead letters: POST /api/v1/destinations/{id}/replay. {reason}",
    ),
    HealthEvent.RECOVERED: (
        Severity.INFO,
        "Deliveries to {label} succeed again",
        "Waiting messages are being sent. {reason}",
    ),
    HealthEvent.DISABLED: (
        Severity.CRITICAL,
        "The destination {label} was disabled",
        "Nothing is sent there until it is enabled: POST /api/v1/destinations/{id}/enable. {reason}",
    ),
}


def health_notice(change: HealthChange) -> NewNotification:
    """Make the notification of a change in health."""
    severity, title, message = _TEXTS[change.event]
    text = message.format(id=change.destination_id, reason=change.reason).strip()
    return NewNotification(title.format(label=change.label), text, severity, "DESTINATION", change.destination_id)
