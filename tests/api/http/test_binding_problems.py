import pytest
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from api.http.problems import (
    MAX_DETAILS,
    MAX_MESSAGE_LENGTH,
    Problem,
    dotted,
    invalid_fields,
    invalid_input,
    invalid_under,
    opaque_problem,
    problem_of,
)
from domain.errors import Conflict, FieldError, Invalid, TrailgateError


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str

    @field_validator("name")
    @classmethod
    def _no_secrets(cls, name: str) -> str:
        if name.startswith("long"):
            raise ValueError("x" * 1000)
        raise ValueError("is never good")


def refused(**data: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Item.model_validate(data)
    return caught.value


def test_paths_are_cut() -> None:
    assert dotted(["a", 0, "b"]) == "a.0.b"
    assert dotted(range(50)) == "0.1.2.3.4.5.6.7.8.9"
    assert dotted(["k" * 1000]) == "k" * 80
    assert dotted([]) == ""


def test_messages_of_our_own_validators_lose_their_prefix_and_length() -> None:
    assert invalid_input(refused(name="a")).details == (FieldError("name", "is never good"),)
    assert len(invalid_input(refused(name="long")).details[0].message) == MAX_MESSAGE_LENGTH
    assert invalid_input(refused(name="a"), "body").message == "body.name: is never good"


def test_unknown_names_of_the_client_are_cut_too() -> None:
    error = invalid_input(refused(**{"k" * 10_000: 1, "name": "a"}))
    assert max(len(one.field) for one in error.details) == 80
    assert "(and 1 more)" in error.message


def test_refusals_move_below_a_field() -> None:
    below = invalid_under("data_json", Invalid.of("tags.team", "unknown"))
    assert below.details == (FieldError("data_json.tags.team", "unknown"),)
    assert invalid_under("data_json", Invalid("broken")).message == "data_json: broken"


def test_many_refused_fields_are_cut() -> None:
    assert len(invalid_fields(FieldError(str(place), "no") for place in range(100)).details) == MAX_DETAILS


def test_only_planned_exceptions_become_problems() -> None:
    for unplanned in (RuntimeError("x"), TrailgateError("abstract"), web.HTTPFound("/x"), refused(name="a")):
        assert problem_of(unplanned, "/p", "id") is None
    opaque = opaque_problem("/p", "id")
    assert (opaque.status, opaque.path, opaque.request_id, opaque.reason) == (500, "/p", "id", "Internal Server Error")


def test_a_dialect_can_tell_kinds_of_conflict_apart() -> None:
    problem = problem_of(Conflict("again", "race"), "/p", "id")
    assert isinstance(problem, Problem)
    assert isinstance(problem.error, Conflict)
    assert problem.error.kind == "race"


def test_router_texts_say_something() -> None:
    found = problem_of(web.HTTPNotFound(), "/p", "id")
    assert found is not None
    assert found.message == "Nothing is served at this path"
    plain = problem_of(web.HTTPUnprocessableEntity(), "/p", "id")
    told = problem_of(web.HTTPUnprocessableEntity(text="because"), "/p", "id")
    assert plain is not None
    assert told is not None
    assert (plain.message, told.message) == ("Unprocessable Entity", "because")
