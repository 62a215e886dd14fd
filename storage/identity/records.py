"""Where verification finds the sealed records of identity."""

from domain.identity.records import (
    API_KEY,
    API_KEY_1,
    DENIAL,
    INVITATION,
    MEMBERSHIP,
    MEMBERSHIP_1,
    ORGANISATION,
    ORGANISATION_1,
    PRINCIPAL,
    PRINCIPAL_1,
    SESSION,
    SIGNING_KEY,
    SSO_CONFIG,
    SSO_IDENTITY,
    WORKLOAD_IDENTITY,
)
from storage.ledger.records import RecordSource

RECORDS = (
    RecordSource.plain(ORGANISATION, "organisations", org="id", older=(ORGANISATION_1,)),
    RecordSource.plain(PRINCIPAL, "principals", org=None, older=(PRINCIPAL_1,)),
    RecordSource.plain(MEMBERSHIP, "memberships", older=(MEMBERSHIP_1,)),
    RecordSource.plain(API_KEY, "api_keys", opens=False, older=(API_KEY_1,)),
    RecordSource.plain(SESSION, "sessions", opens=False),
    RecordSource.plain(INVITATION, "invitations", opens=False),
    RecordSource.plain(SSO_CONFIG, "sso_configs"),
    RecordSource.plain(SSO_IDENTITY, "sso_identities"),
    RecordSource.plain(WORKLOAD_IDENTITY, "workload_identities"),
    RecordSource.eventful(DENIAL),
    RecordSource.eventful(SIGNING_KEY),
)
