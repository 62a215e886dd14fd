"""Rate limits: how many requests a key, an organisation or an address may send per minute."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RateLimit(StrEnum):
    """Every rate limit. The value names it in errors, settings, metrics and Redis."""

    KEY = "requests_per_key"
    ORGANISATION = "requests_per_organisation"
    ADDRESS = "requests_per_address"
    FAILED_KEYS = "failed_keys_per_address"
    FAILED_SIGNATURES = "failed_signatures_per_address"
    SIGN_IN = "sign_ins_per_address"
    SIGN_IN_ORGANISATION = "sign_ins_per_organisation"


Rates = Mapping[RateLimit, int]
"""How often per minute; 0 means without limit."""


@dataclass(frozen=True, slots=True)
class RateTerms:
    """How often per minute unless set otherwise, and what is counted."""

    standard: int
    description: str


RATE_TERMS: Mapping[RateLimit, RateTerms] = {
    RateLimit.KEY: RateTerms(30_000, "Requests of one API key or session"),
    RateLimit.ORGANISATION: RateTerms(60_000, "Requests of an organisation, with all its keys and sessions"),
    RateLimit.ADDRESS: RateTerms(3_000, "Requests of one address without a credential, except webhooks and sign-ins"),
    RateLimit.FAILED_KEYS: RateTerms(
        300, "Unknown, expired or revoked credentials that one address may present; further unknown ones are refused"
    ),
    RateLimit.FAILED_SIGNATURES: RateTerms(
        600,
        "Webhook deliveries of one address that fail their verification; then only senders that did not fail are heard",
    ),
    RateLimit.SIGN_IN: RateTerms(60, "Requests of one address to begin or finish a sign-in"),
    RateLimit.SIGN_IN_ORGANISATION: RateTerms(600, "Sign-ins begun in an organisation, from all addresses"),
}
