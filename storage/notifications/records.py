"""Where the declared records of notifications live."""

from domain.notifications.records import NOTIFICATION_RULE
from storage.ledger.records import RecordSource

RECORDS = (RecordSource.plain(NOTIFICATION_RULE, "notification_rules"),)
