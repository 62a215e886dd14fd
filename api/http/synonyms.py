"""Fields that two vocabularies name differently (facts.md 26): either name will do, and both must agree."""

from typing import Any

from pydantic import BaseModel

from domain.errors import Invalid


def agreed(model: BaseModel, *names: str) -> Any:
    """The value that these fields of a model, names of one thing, agree on; None where none of them is given.

    Raises Invalid, naming the field that differs.
    """
    given = [(name, value) for name in names if (value := getattr(model, name)) is not None]
    for name, value in given[1:]:
        if value != given[0][1]:
            first, other = _wire_name(model, given[0][0]), _wire_name(model, name)
            raise Invalid.of(other, f"differs from {first}; give one of them")
    return given[0][1] if given else None


def required(model: BaseModel, *names: str) -> Any:
    """The same where one of them must be given. Raises Invalid, naming the first."""
    value = agreed(model, *names)
    if value is None:
        raise Invalid.of(_wire_name(model, names[0]), "Field required")
    return value


def _wire_name(model: BaseModel, name: str) -> str:
    return type(model).model_fields[name].alias or name
