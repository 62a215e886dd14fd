"""Where verification finds the sealed records of identity."""

from domain.identity.records import (
    API_KEY,
    DENIAL,
    MEMBERSHIP,
    MEMBERSHIP_1,
    ORGANISATION,
    ORGANISATION_1,
    PRINCIPAL,
    PRINCIPAL_1,
    SESSION,
    SIGNING_KEY,
)
from storage.ledger.records import RecordSource

RECORDS = (
    RecordSource.plain(ORGANISATION, "organisations", org="id", older=(ORGANISATION_1,)),
    RecordSource.plain(PRINCIPAL, "principals", org=None, older=(PRINCIPAL_1,)),
    RecordSource.plain(MEMBERSHIP, "memberships", older=(MEMBERSHIP_1,)),
    RecordSource.plain(API_KEY, "api_keys", opens=False),
    RecordSource.plain(SESSION, "sessions", opens=False),
    RecordSource.eventful(DENIAL),
    RecordSource.eventful(SIGNING_KEY),
)
