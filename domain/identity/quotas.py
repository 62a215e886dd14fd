"""Quotas: how much one organisation may store, send and create, so that none can fill the installation of all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil

from domain.errors import Conflict, Throttled, TooLarge, TrailgateError


class Quota(StrEnum):
    """Every quota. The value names it in errors, settings and counters."""

    EVIDENCE_BYTES = "evidence_bytes"
    TRAILS_PER_DAY = "trails_per_day"
    MESSAGES_PER_HOUR = "messages_per_hour"
    WEBHOOK_CONFIGS = "webhook_configs"
    NOTIFICATION_RULES = "notification_rules"
    API_KEYS = "api_keys"
    USERS = "users"
    MEMBERS = "members"
    SERVICE_ACCOUNTS = "service_accounts"
    WORKLOAD_IDENTITIES = "workload_identities"
    INVITATIONS = "invitations"
    INVITATION_MAILS_PER_HOUR = "invitation_mails_per_hour"


class FixedLimit(StrEnum):
    """The limits that are the same for every organisation."""

    REQUEST_BODY_BYTES = "request_body_bytes"
    WEBHOOK_BODY_BYTES = "webhook_body_bytes"
    EVIDENCE_FILE_BYTES = "evidence_file_bytes"
    EVIDENCE_FILES_PER_ATTESTATION = "evidence_files_per_attestation"
    PROVENANCE_KEYS = "provenance_keys"
    WEBHOOK_CONFIGS_PER_SOURCE = "webhook_configs_per_source"
    ALLOWLIST_ENTRIES = "allowlist_entries"
    POLICIES = "policies"
    STREAMS_PER_KEY = "streams_per_key"
    STREAMS_PER_ORGANISATION = "streams_per_organisation"
    PAGE_SIZE = "page_size"
    JSON_DEPTH = "json_depth"


Quotas = Mapping[Quota, int]
"""The limit of each quota."""


class Period(StrEnum):
    """The period after which a rate starts again, by the clock in UTC."""

    HOUR = "HOUR"
    DAY = "DAY"

    @property
    def length(self) -> timedelta:
        """How long it lasts."""
        return timedelta(hours=1) if self is Period.HOUR else timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a quota counts, its limit unless set otherwise, and the period of a rate."""

    standard: int
    unit: str
    description: str
    period: Period | None = None


TERMS: Mapping[Quota, Terms] = {
    Quota.EVIDENCE_BYTES: Terms(
        100 * 2**30, "bytes", "Size of all evidence files; equal content counts each time it is attached"
    ),
    Quota.TRAILS_PER_DAY: Terms(1_000_000, "trails", "Trails opened in one day (UTC)", Period.DAY),
    Quota.MESSAGES_PER_HOUR: Terms(
        10_000,
        "messages",
        "Messages of notification rules in one hour; further ones are counted and not sent",
        Period.HOUR,
    ),
    Quota.WEBHOOK_CONFIGS: Terms(1000, "webhook configs", "Webhook configs that are not deleted"),
    Quota.NOTIFICATION_RULES: Terms(100, "notification rules", "Notification rules that are not deleted"),
    Quota.API_KEYS: Terms(1000, "API keys", "API keys that are not revoked, expired ones included"),
    Quota.USERS: Terms(20_000, "users", "Users that the organisation manages"),
    Quota.MEMBERS: Terms(20_000, "members", "Members, also those whom another organisation manages"),
    Quota.SERVICE_ACCOUNTS: Terms(1000, "service accounts", "Service accounts that are not deleted"),
    Quota.WORKLOAD_IDENTITIES: Terms(1000, "workload identities", "Workload identities that are not deleted"),
    Quota.INVITATIONS: Terms(
        1000, "invitations", "Invitations that are neither accepted nor revoked, expired ones included"
    ),
    Quota.INVITATION_MAILS_PER_HOUR: Terms(200, "mails", "Invitations sent by e-mail in one hour", Period.HOUR),
}
DEFAULTS: Quotas = {quota: terms.standard for quota, terms in TERMS.items()}
PERIODS: Mapping[Quota, Period] = {quota: terms.period for quota, terms in TERMS.items() if terms.period}
"""The quotas that limit a rate; the others limit a total."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MAX_LIMIT = 2**62
"""The largest limit: sums with it stay within 64 bits."""


def period_number(quota: Quota, now: datetime) -> int:
    """Return the number of the current period of a rate, counted from 1970; 0 for a total."""
    period = PERIODS.get(quota)
    return int(now.timestamp() // period.length.total_seconds()) if period else 0


def resets_at(quota: Quota, now: datetime) -> datetime | None:
    """Return the end of the current period of a rate; None for a total."""
    period = PERIODS.get(quota)
    return EPOCH + (period_number(quota, now) + 1) * period.length if period else None


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """How much of a quota an organisation has used. `resets_at` is the end of the period of a rate."""

    quota: Quota
    limit: int
    used: int
    resets_at: datetime | None

    @property
    def remaining(self) -> int:
        """What is left. It is 0, too, when a limit was lowered below what is used."""
        return max(self.limit - self.used, 0)


def exceeded(use: QuotaUse, now: datetime) -> TrailgateError:
    """Make the error of a request that needs more than what remains."""
    message = f"The organisation's quota {use.quota} is exceeded: {use.used} of {use.limit} are used."
    if use.resets_at is not None:
        wait = ceil((use.resets_at - now).total_seconds())
        return Throttled(f"{message} It starts again at {use.resets_at:%Y-%m-%dT%H:%MZ}.", wait, limit=use.quota)
    if use.quota is Quota.EVIDENCE_BYTES:
        return TooLarge(f"{message} The operator can raise it.", limit=use.quota)
    return Conflict(f"{message} Remove what is not needed, or let the operator raise it.", "state", limit=use.quota)
