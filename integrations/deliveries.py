"""What all senders' deliveries share: where the id comes from, and how a body is read into a model."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from integrations.contract import AttestationHint, BadDelivery

_DELIVERY_ID = re.compile(r"[ -~]{1,255}")
_REPOSITORY = re.compile(r"(?:[a-z+]+://[^/]+/+|[^/@:]+@[^/:]+:/*)([^\x00-\x20]{1,255}?)(?:\.git)?/?")
_FALLBACK_SECONDS = 300
_PATH_SEGMENTS = 10

Model = TypeVar("Model", bound=BaseModel)

Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
"""Short text of a vendor, possibly empty. PostgreSQL stores no NUL."""
Url = Annotated[str, StringConstraints(max_length=2048, pattern=r"^(https?://[^\x00-\x20]+)?$")]
"""A web address that may stand behind a link, or the empty string."""
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{7,64}$", to_lower=True)]
"""A git object name, abbreviated or whole, SHA-1 or SHA-256; lower case once read."""
Address = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00]*$")]
"""Where a vendor's thing is, in the vendor's own form: a path, or what git clones from."""
DeliveryId = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,255}$")]
"""The id of a delivery whose sender writes it into the body: the same text as a header may hold."""


def utc_time(text: str) -> datetime:
    """An ISO 8601 time with a zone, in UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time needs a zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time lies between the years 1 and 9999") from None


def _time_if_readable(value: object) -> datetime | None:
    try:
        return utc_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


VendorTime = Annotated[datetime | None, BeforeValidator(_time_if_readable)]
"""A vendor's time of the event; one that cannot be read is no reason to lose the event."""


Word = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")]
"""A vendor's name for a kind, action or state; it becomes part of our event's name."""

BRANCH = "refs/heads/"
"""What stands before a branch's name in a ref."""


class Payload(BaseModel):
    """A part of a vendor's JSON: only what we read of it, and no type bent into another."""

    model_config = ConfigDict(strict=True, frozen=True)


class Author(Payload):
    """Who wrote a commit, as git says."""

    name: Text | None = None
    email: Text | None = None


def attested(
    type_: str, status: str | None, name: str | None, details: str, url: str | None = None
) -> tuple[AttestationHint, ...]:
    """What an event attests: nothing without a status. Empty texts of a vendor are none."""
    return (AttestationHint(type_, status, name or None, details, url or None),) if status else ()


def outcome_of(what: str, name: str | None, outcome: str | None) -> str:
    """The details of an attestation in a line."""
    return f"{what} {name or '(no name)'}: {outcome}"


def delivery_id(headers: Mapping[str, str], names: Sequence[str], body: bytes, now: datetime) -> str:
    """The id under the first of the header names that is set.

    A sender without ids is told apart by body and five-minute window (engineering.md 2.4), so that its immediate
    repetitions are duplicates while the same event tomorrow is a new one. Raises BadDelivery unless the id is 1 to 255
    printable ASCII characters.
    """
    name = next((name for name in names if headers.get(name)), None)
    if name is None:
        return f"sha256:{sha256(body).hexdigest()}:{int(now.timestamp()) // _FALLBACK_SECONDS}"
    if not _DELIVERY_ID.fullmatch(headers[name]):
        raise BadDelivery(f"{name}: 1 to 255 printable ASCII characters expected", name)
    return headers[name]


def repository_path(address: str | None) -> str | None:
    """`owner/name` of the repository at a clone or web address: no host, no credentials, no `.git`.

    None where the address names no host, such as a path on the sender's disk.
    """
    match = _REPOSITORY.fullmatch(address or "")
    return match[1] if match else None


def read(model: type[Model], body: bytes) -> Model:
    """The JSON body as a model. Raises BadDelivery naming the first field that is wrong, by its dotted path."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(segment) for segment in first["loc"][:_PATH_SEGMENTS])
        raise BadDelivery(f"{path}: {first['msg']}" if path else first["msg"], path) from None
