"""Where verification finds the sealed records of identity."""

from domain.identity.records import API_KEY, DENIAL, MEMBERSHIP, ORGANISATION, PRINCIPAL, SIGNING_KEY
from storage.ledger.records import RecordSource

RECORDS = (
    RecordSource.plain(ORGANISATION, "organisations", org="id"),
    RecordSource.plain(PRINCIPAL, "principals", org=None),
    RecordSource.plain(MEMBERSHIP, "memberships"),
    RecordSource.plain(API_KEY, "api_keys", opens=False),
    RecordSource.eventful(DENIAL),
    RecordSource.eventful(SIGNING_KEY),
)
