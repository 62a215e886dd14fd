"""Prove a delivery of Jenkins, which signs nothing by itself (engineering.md 2.16).

Neither Jenkins nor its Notification plugin has a header for signatures. Who sends (a step of a Jenkinsfile, or a proxy
behind the plugin) signs as for our own format. The plugin tries again by itself as often as it is told to, and Jenkins
keeps no list of what was sent: there is nothing to ask for again.
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
    """Check the delivery as one in our own format; the plugin's body names itself where no header does.

    Raises BadSignature, and BadDelivery for an id that cannot be stored or a body that names no build.
    """
    verified = verify_generic(headers, body, secrets, now)
    if any(headers.get(name) for name in _ID_HEADERS):
        return verified
    build = read(Notified, body).build
    return replace(verified, delivery_id=_natural_id(build)) if build else verified


def _natural_id(build: BuildState) -> str:
    """The same when the plugin tries again, although the rest of the body may have changed meanwhile.

    The place in the queue tells a job from a later one of the same name, which counts its builds from 1 again. The
    status tells what a step of the Jenkinsfile announced too early from what became of the build.
    """
    key = f"{build.full_url or build.url}\n{build.queue_id}\n{build.phase}\n{build.status}"
    return f"sha256:{sha256(key.encode()).hexdigest()}"
