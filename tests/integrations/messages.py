"""A message about to leave, for the tests of the channels."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from integrations.channels import Outgoing

NOW = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
ATTESTATION = "0190a8c0-0000-7000-8000-00000000000a"
TRAIL = "0190a8c0-0000-7000-8000-00000000000b"
FLOW = "0190a8c0-0000-7000-8000-00000000000c"

MESSAGE = Outgoing(
    id=UUID("0190a8c0-0000-7000-8000-000000000001"),
    event="ATTESTATION_FAILED",
    title="Attestation unit-tests failed",
    message="3 of 120 tests failed.",
    severity="WARNING",
    created_at=datetime(2026, 3, 4, 5, 6, 5, tzinfo=UTC),
    payload={
        "triggerEvent": "ATTESTATION_FAILED",
        "severity": "WARNING",
        "title": "The title before the template",
        "message": "The message before the template",
        "entityType": "ATTESTATION",
        "entityId": ATTESTATION,
        "flowId": FLOW,
        "environmentId": None,
        "data": {"trailId": TRAIL, "attestation": "unit-tests"},
    },
)


def message(**changes: Any) -> Outgoing:
    """The same with other fields; `data` and other keys of the payload are given by their own names."""
    fields = {name: changes.pop(name) for name in list(changes) if name in Outgoing.__slots__}
    return replace(MESSAGE, **({"payload": {**MESSAGE.payload, **changes}} | fields))
