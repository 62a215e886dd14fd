"""Reading verification summaries: in-toto Statement v1 with the predicate SLSA VSA v1."""

import base64
from collections.abc import Iterator
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from domain.facts.digests import normalise_digest
from domain.facts.summaries import Summary
from domain.facts.vsa import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, VERDICTS
from integrations.formats.dsse.verify import DsseEnvelope, Unverifiable


def read_summary(envelope: DsseEnvelope) -> Summary:
    """Read the summary in an envelope whose signature is verified. Raises Unverifiable if it is something else."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Unverifiable(f"The payload type is {envelope.payload_type[:80]!a}, not {PAYLOAD_TYPE}.")
    try:
        read = _Statement.model_validate_json(envelope.payload)
    except ValidationError as error:
        [first, *_] = error.errors()
        where = ".".join(map(str, first["loc"]))
        raise Unverifiable(f"The payload is no verification summary: {where or 'it'}: {first['msg']}.") from error
    predicate = read.predicate
    return Summary(
        digests=frozenset(normalise_digest(one.digest["sha256"]) for one in read.subject if "sha256" in one.digest),
        verifier=predicate.verifier.id,
        resource=predicate.resource_uri,
        policies=frozenset({predicate.policy.uri, *_names(predicate.policy.content)}),
        result=predicate.verification_result,
        levels=tuple(predicate.verified_levels),
        verified_at=predicate.time_verified,
        verdict=_verdict(predicate.model_extra or {}),
    )


def _names(content: str) -> Iterator[str]:
    """Return the ids and names in the policy of a verdict; nothing for another verifier's."""
    try:
        policy: Any = orjson.loads(base64.b64decode(content))
    except ValueError:
        return
    named = policy.get("policies") if isinstance(policy, dict) else None
    given = [policy, *(named if isinstance(named, list) else ())]
    for one in given:
        if isinstance(one, dict):
            yield from (one[name] for name in ("flowId", "id", "name") if isinstance(one.get(name), str))


def _verdict(extensions: dict[str, Any]) -> str | None:
    return next((str(value) for name, value in extensions.items() if name.endswith(VERDICTS)), None)


def _only(wanted: str) -> AfterValidator:
    def check(value: str) -> str:
        if value != wanted:
            raise ValueError(f"is {value[:80]!a}, not {wanted}")
        return value

    return AfterValidator(check)


class _Part(BaseModel):
    """A part of the statement; unknown fields are ignored, as in-toto demands."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class _Subject(_Part):
    digest: dict[str, str]


class _Verifier(_Part):
    id: str


class _Policy(_Part):
    uri: str
    content: str = ""


class _Predicate(_Part):
    model_config = ConfigDict(extra="allow")

    verifier: _Verifier
    resource_uri: str
    policy: _Policy
    verification_result: str
    verified_levels: list[str]
    time_verified: AwareDatetime | None = None


class _Statement(_Part):
    type: Annotated[str, Field(alias="_type"), _only(STATEMENT_TYPE)]
    predicate_type: Annotated[str, _only(PREDICATE_TYPE)]
    subject: list[_Subject]
    predicate: _Predicate
