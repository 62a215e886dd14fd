"""Where verification finds the sealed records of identity."""

from domain.identity.records import API_KEY, DENIAL, MEMBERSHIP, ORGANISATION, PRINCIPAL
from storage.ledger.records import RecordSource

RECORDS = (
    RecordSource.plain(ORGANISATION, "organisations"),
    RecordSource.plain(PRINCIPAL, "principals"),
    RecordSource.plain(MEMBERSHIP, "memberships"),
    RecordSource.plain(API_KEY, "api_keys", opens=False),
    RecordSource.eventful(DENIAL),
)
