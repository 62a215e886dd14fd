"""Rate limits that no test and no measurement meets, except those about limits."""

from typing import Any

UNTHROTTLED: dict[str, Any] = {
    "rate_requests_per_key": 10_000_000,
    "rate_requests_per_organisation": 10_000_000,
    "rate_requests_per_address": 0,
    "rate_failed_keys_per_address": 0,
    "rate_failed_signatures_per_address": 0,
    "rate_sign_ins_per_address": 0,
    "rate_sign_ins_per_organisation": 0,
}
"""As settings. All tests have one address, and send in a minute what nobody else does."""
UNTHROTTLED_PROCESS: dict[str, str] = {f"TRAILGATE_{name.upper()}": str(value) for name, value in UNTHROTTLED.items()}
"""As variables of a process."""
