"""Verify a delivery of Jenkins, which signs nothing itself.

Neither Jenkins nor its Notification plugin can sign. The sender (a step of a Jenkinsfile, or a proxy behind the plugin)
must sign as for the generic format. There is no reconciliation: the plugin itself retries, as often as configured, and
Jenkins keeps no list of notifications.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from integrations.contract import Verified
from integrations.deliveries import read
from integrations.generic.verify import verify as verify_generic
from integrations.jenkins.payloads import BuildState, Notified

_ID_HEADERS = ("webhook-id", "x-delivery-id")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
    """Check the delivery like one in the generic format; without an id header, make the id from the plugin's body.

    Raises BadSignature, and BadDelivery for an id that cannot be stored or a body that cannot be parsed.
    """
    verified = verify_generic(headers, body, secrets, now)
    if any(headers.get(name) for name in _ID_HEADERS):
        return verified
    build = read(Notified, body).build
    return replace(verified, delivery_id=_natural_id(build)) if build else verified


def _natural_id(build: BuildState) -> str:
    """Make an id that is the same in every retry, although the rest of the body may have changed.

    The queue id distinguishes a job from a later job of the same name, whose builds are numbered from 1 again. The
    status distinguishes a notification that a Jenkinsfile sent too early from the final result.
    """
    key = f"{build.full_url or build.url}\n{build.queue_id}\n{build.phase}\n{build.status}"
    return f"sha256:{sha256(key.encode()).hexdigest()}"
