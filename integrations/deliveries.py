"""What the senders share: field types, the id of a delivery, parsing a body into a model, and what a state attests."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic_core import CoreSchema, core_schema

from domain.json_text import readable
from integrations.contract import AttestationHint, BadDelivery

_DELIVERY_ID = re.compile(r"[ -~]{1,255}")
_REPOSITORY = re.compile(r"(?:[a-z+]+://[^/]+/+|[^/@:]+@[^/:]+:/*)([^\x00-\x20]{1,255}?)(?:\.git)?/?")
_FALLBACK_SECONDS = 300
_PATH_SEGMENTS = 10
_MAX_TEXT = 255
_MAX_IDENTITY = 230
"""Leaves 25 of the 255 characters to the name of the sender: two senders may call what they run the same."""
_SEPARATOR = " | "

Model = TypeVar("Model", bound=BaseModel)
Part = TypeVar("Part")


def shown(text: str) -> str:
    """Make a text of any length fit to be stored and shown: at most 255 characters, and no NUL."""
    shortened = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return shortened.replace("\0", "\N{REPLACEMENT CHARACTER}")


class _Forgiving:
    """None in place of a value that is not valid."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")


Maybe = Annotated[Part | None, _Forgiving()]
"""A part that an event does not need: None if it is not as documented, so that the event is not lost."""

Text = Annotated[str, StringConstraints(max_length=_MAX_TEXT, pattern=r"^[^\x00]*$")]
"""Short text of a vendor, possibly empty, without NUL, which PostgreSQL cannot store."""
Shown = Annotated[Text | Annotated[str, AfterValidator(shown)], Field(union_mode="left_to_right")]
"""Text of a vendor that is only shown, made fit by `shown` if it is not; where it tells things apart, use `str`."""
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

Id = Annotated[int, Field(ge=1, lt=2**63)]
"""A vendor's number of a run, a job or a request."""

State = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_-]{1,64}$")]
"""A vendor's name of a result or status, known to Trailgate or not."""

BRANCH = "refs/heads/"
"""The prefix of a branch in a ref."""


class Payload(BaseModel):
    """A part of a vendor's JSON, with only the fields that Trailgate reads, and without type coercion.

    Fields are required, or not null, only if they tell what happened, what ran, or which commit it was about; any
    other one is a `Maybe`.
    """

    model_config = ConfigDict(strict=True, frozen=True)


class Author(Payload):
    """The author of a commit according to git."""

    name: Maybe[Shown] = None
    email: Maybe[Shown] = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a state means: the suffix of the event type, and the status to attest, if any.

    `unknown` is the state itself if Trailgate does not know it.
    """

    ending: str
    status: str | None = None
    unknown: str | None = None


def meaning_of(state: str, known: Mapping[str, Meaning]) -> Meaning:
    """Return what a state means.

    An unknown one is PENDING: it may mean anything, so nothing passes until a later result or a person has decided.
    """
    return known.get(state) or Meaning("unknown", "PENDING", state)


def outcome_of(what: str, name: str | None, state: str | None) -> str:
    """Describe an attestation in one line."""
    return f"{what} {shown(name) if name else '(no name)'}: {state}"


def attested(
    type_: str,
    status: str | None,
    name: str | None,
    details: str,
    url: str | None = None,
    *,
    identity: str | None = None,
    run: int | None = None,
) -> tuple[AttestationHint, ...]:
    """Make the attestation of an event, or none without a status. An empty name or URL counts as missing.

    Give the `run` only where a newer run supersedes the older one as a whole, because identities name their run: of a
    sender that repeats a part of a run as a new one, this would take away the results of the other parts.
    """
    if not status:
        return ()
    id_of_run = None if run is None else str(run)
    return (AttestationHint(type_, status, shown(name) if name else None, details, url or None, identity, id_of_run),)


@lru_cache(maxsize=4096)  # what runs, runs again
def identity_of(what: str, *parts: str | int | None) -> str:
    """Name what ran by the parts that tell it apart, such as `check | ci-app | suite 7 | unit tests`.

    Different parts always give different texts of at most 230 characters, because a hash of the parts is added to a
    text that is too long or that other parts could give as well. Missing parts are left out.
    """
    given = [str(part) for part in parts if part not in (None, "")]
    text = _SEPARATOR.join([what, *given])
    if len(text) <= _MAX_IDENTITY and "\0" not in text and text.count("|") == len(given):
        return text
    suffix = f" #{sha256(json.dumps(given).encode()).hexdigest()[:32]}"
    return shown(text[: _MAX_IDENTITY - len(suffix)]) + suffix


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
