"""Fields with alternative names, as OpenFactstore's clients use two vocabularies: a request may use either name."""

from typing import Any

from pydantic import BaseModel

from domain.errors import Invalid


def agreed(model: BaseModel, *names: str) -> Any:
    """Return the value of these synonymous fields of a model, or None when none of them is given.

    Raises Invalid, naming the second field, when two of them differ.
    """
    given = [(name, value) for name in names if (value := getattr(model, name)) is not None]
    for name, value in given[1:]:
        if value != given[0][1]:
            first, other = _wire_name(model, given[0][0]), _wire_name(model, name)
            raise Invalid.of(other, f"differs from {first}; give one of them")
    return given[0][1] if given else None


def required(model: BaseModel, *names: str) -> Any:
    """Return the value of these synonymous fields. Raises Invalid also when none of them is given."""
    value = agreed(model, *names)
    if value is None:
        raise Invalid.of(_wire_name(model, names[0]), "Field required")
    return value


def _wire_name(model: BaseModel, name: str) -> str:
    return type(model).model_fields[name].alias or name
