"""What the senders share: field types, the id of a delivery, and parsing a body into a model."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from domain.json_text import readable
from integrations.contract import AttestationHint, BadDelivery

_DELIVERY_ID = re.compile(r"[ -~]{1,255}")
_REPOSITORY = re.compile(r"(?:[a-z+]+://[^/]+/+|[^/@:]+@[^/:]+:/*)([^\x00-\x20]{1,255}?)(?:\.git)?/?")
_FALLBACK_SECONDS = 300
_PATH_SEGMENTS = 10

Model = TypeVar("Model", bound=BaseModel)

Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
"""Short text of a vendor, possibly empty, without NUL, which PostgreSQL cannot store."""
Url = Annotated[str, StringConstraints(max_length=2048, pattern=r"^(https?://[^\x00-\x20]+)?$")]
"""A web address that is safe to link to, or the empty string."""
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{7,64}$", to_lower=True)]
"""A git object name, abbreviated or complete, SHA-1 or SHA-256; converted to lower case."""
Address = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00]*$")]
"""The location of a resource in the vendor's own form: a path, or a clone URL."""
DeliveryId = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,255}$")]
"""The id of a delivery in its body, with the same characters that a header may contain."""


def utc_time(text: str) -> datetime:
    """Parse an ISO 8601 time with a zone and convert it to UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time must have a time zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time must be between the years 1 and 9999") from None


def _time_if_readable(value: object) -> datetime | None:
    try:
        return utc_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


VendorTime = Annotated[datetime | None, BeforeValidator(_time_if_readable)]
"""A vendor's time of the event; None if it cannot be parsed, so that the event is not lost."""


Word = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")]
"""A vendor's name of a kind, action or state; it becomes part of Trailgate's event type."""

BRANCH = "refs/heads/"
"""The prefix of a branch in a ref."""


class Payload(BaseModel):
    """A part of a vendor's JSON, with only the fields that Trailgate reads, and without type coercion."""

    model_config = ConfigDict(strict=True, frozen=True)


class Author(Payload):
    """The author of a commit according to git."""

    name: Text | None = None
    email: Text | None = None


def attested(
    type_: str, status: str | None, name: str | None, details: str, url: str | None = None
) -> tuple[AttestationHint, ...]:
    """Make the attestation of an event, or none without a status. An empty name or URL counts as missing."""
    return (AttestationHint(type_, status, name or None, details, url or None),) if status else ()


def outcome_of(what: str, name: str | None, outcome: str | None) -> str:
    """Describe an attestation in one line."""
    return f"{what} {name or '(no name)'}: {outcome}"


def delivery_id(headers: Mapping[str, str], names: Sequence[str], body: bytes, now: datetime) -> str:
    """Return the id of a delivery from the first of these headers that is set.

    Without one, the id is made of the body's hash and a five-minute window, so that immediate repetitions are
    duplicates while the same body on another day is a new event. Raises BadDelivery unless the id has 1 to 255
    printable ASCII characters.
    """
    name = next((name for name in names if headers.get(name)), None)
    if name is None:
        return f"sha256:{sha256(body).hexdigest()}:{int(now.timestamp()) // _FALLBACK_SECONDS}"
    if not _DELIVERY_ID.fullmatch(headers[name]):
        raise BadDelivery("must have 1 to 255 printable ASCII characters", name)
    return headers[name]


def repository_path(address: str | None) -> str | None:
    """Return `owner/name` from a clone URL or web address, without host, credentials and `.git`.

    None if the address has no host, as for a path on the sender's disk.
    """
    match = _REPOSITORY.fullmatch(address or "")
    return match[1] if match else None


def read(model: type[Model], body: bytes) -> Model:
    """Parse the JSON body into a model. Raises BadDelivery, naming the first invalid field by its dotted path."""
    try:
        return model.model_validate_json(readable(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(segment) for segment in first["loc"][:_PATH_SEGMENTS])
        raise BadDelivery(first["msg"], path) from None
