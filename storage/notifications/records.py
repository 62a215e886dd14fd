"""Where verification finds the sealed records of notifications."""

from domain.notifications.records import NOTIFICATION_RULE, NOTIFICATION_RULE_1
from storage.ledger.records import RecordSource

RECORDS = (RecordSource.plain(NOTIFICATION_RULE, "notification_rules", older=(NOTIFICATION_RULE_1,)),)
