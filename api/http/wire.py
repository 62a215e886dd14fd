"""Base models of plain JSON: camelCase names, instants in UTC, lenient inputs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Self, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from api.http.calls import Call


def format_instant(moment: datetime) -> str:
    """Return an instant in ISO 8601: UTC with `Z`, always with six digits of a second."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the years 1 to 9999 in UTC") from error


def _checked(moment: Any) -> Any:
    if not isinstance(moment, datetime) and not (isinstance(moment, str) and "T" in moment.upper()):
        raise ValueError("must be an ISO 8601 time such as 2026-01-31T12:00:00Z")
    return moment


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_checked),
    AfterValidator(_utc),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
]
"""A point in time. Input needs a UTC offset; digits beyond microseconds are cut."""


class WireModel(BaseModel):
    """A response: camelCase names, nulls included. Fields must be `Instant`, not `datetime`, to have one format."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, from_attributes=True
    )

    @classmethod
    def of(cls, record: Any, _call: Call) -> Self:
        """Return the model of a record, filled from its attributes; `shows` names an attribute with another name.

        A model with fields that are not attributes of the record overrides this and calls `filled`.
        """
        return cls.model_validate(record)

    @classmethod
    def filled(cls, record: Any, **further: Any) -> Self:
        """Return the model of a record, with the `further` fields given here."""
        given = {name: getattr(record, source) for name, source in _sources(cls) if name not in further}
        return cls.model_validate({**given, **further}, by_alias=False, by_name=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not field.metadata and datetime in _arguments(field.annotation, into_annotated=False):
                raise TypeError(f"{cls.__name__}.{name}: use api.http.wire.Instant instead of datetime")


def shows(attribute: str) -> Any:
    """Fill a field from an attribute with another name: `image_tag` from the record's `tag`."""
    return Field(validation_alias=attribute)


@cache
def _sources(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """Return each field with the attribute of the record that fills it."""
    aliases = {name: field.validation_alias for name, field in model.model_fields.items()}
    own = {name for name, field in model.model_fields.items() if field.alias == field.validation_alias}
    return tuple((name, name if name in own else str(alias)) for name, alias in aliases.items())


class WireIn(WireModel):
    """A request.

    Unknown names are ignored. Null means absent in a field that has a default and does not allow null. Enum values
    are accepted in any case, and with `-` for `_`.
    """

    @model_validator(mode="before")
    @classmethod
    def _forgive(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        nulls, enums = _leniency(cls)
        kept = {key: value for key, value in data.items() if value is not None or key not in nulls}
        for key in enums.keys() & kept.keys():
            kept[key] = _canonical(enums[key], kept[key])
        return kept


class GrantIn(WireIn):
    """A request that gives access.

    An unknown name is refused: it may be a misspelt limit, without which the access would be wider than meant.
    """

    model_config = ConfigDict(extra="forbid")


class ChangeIn(WireIn):
    """A request that changes what it names.

    One that names only other things is refused (`isactive` for `isActive`): it would succeed and change nothing.
    """

    @model_validator(mode="before")
    @classmethod
    def _names_something(cls, data: Any) -> Any:
        if (
            isinstance(data, Mapping)
            and data
            and not any(data.keys() & field_keys(cls, name) for name in cls.model_fields)
        ):
            raise ValueError(
                f"This names nothing that can be changed; give {' or '.join(map(to_camel, cls.model_fields))}"
            )
        return data


def field_keys(model: type[BaseModel], name: str) -> list[str]:
    """Return the names under which pydantic looks for a field in the input."""
    alias = model.model_fields[name].validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    keys = [choice for choice in choices if isinstance(choice, str)]
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    return [*keys, name] if by_name or not keys else keys


@cache
def _leniency(model: type[BaseModel]) -> tuple[frozenset[str], dict[str, dict[str, Any]]]:
    """Return by wire name the fields in which null means absent, and the normalised spellings of enum fields."""
    nulls: set[str] = set()
    enums: dict[str, dict[str, Any]] = {}
    for name, field in model.model_fields.items():
        keys = field_keys(model, name)
        if not field.is_required() and not _nullable(field):
            nulls |= set(keys)
        spellings = _spellings(field)
        if spellings:
            enums |= dict.fromkeys(keys, spellings)
    return frozenset(nulls), enums


def _nullable(field: FieldInfo) -> bool:
    inner = _arguments(field.annotation)
    return type(None) in inner or Any in inner or field.annotation is Any


def _spellings(field: FieldInfo) -> dict[str, Any]:
    arguments = _arguments(field.annotation)
    kinds = [one for one in arguments if isinstance(one, type) and issubclass(one, Enum)]
    literals = {_folded(one): one for one in arguments if isinstance(one, str)}
    return literals | {
        _folded(text): member.value for kind in kinds for member in kind for text in (member.name, member.value)
    }


def _canonical(spellings: Mapping[str, Any], value: Any) -> Any:
    if isinstance(value, list):
        return [_canonical(spellings, one) for one in value]
    return spellings.get(_folded(value), value) if isinstance(value, str) else value


def _folded(text: Any) -> str:
    return str(text).upper().replace("-", "_")


def _arguments(hint: Any, *, into_annotated: bool = True) -> set[Any]:
    """Return the types a hint is made of; without `into_annotated`, leave out those inside `Annotated`."""
    if not into_annotated and hasattr(hint, "__metadata__"):
        return set()
    inner = get_args(hint)
    return set().union(*(_arguments(one, into_annotated=into_annotated) for one in inner)) if inner else {hint}
