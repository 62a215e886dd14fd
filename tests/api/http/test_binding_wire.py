from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from pydantic import AliasChoices, Field, ValidationError

from api.http.wire import Instant, WireIn, WireModel, format_instant
from tests.api.http.sample import Status


class Inner(WireIn):
    kind: Status


class Sample(WireIn):
    some_name: str = "default"
    count: int = 3
    label: str | None = "label"
    kind: Status = Status.PENDING
    kinds: list[Status] = Field(default=[])
    maybe: Status | None = None
    inner: Inner | None = None
    free: Any = "free"


def read(**data: Any) -> Sample:
    return Sample.model_validate(data)


def test_names_are_camel_case_and_python_names_are_accepted() -> None:
    assert read(someName="a").some_name == read(some_name="a").some_name == "a"
    assert "someName" in read().model_dump(by_alias=True)


def test_null_means_absent_where_a_default_exists_and_null_is_not_allowed() -> None:
    assert read(someName=None, count=None, kind=None, kinds=None) == read()
    assert "count" not in read(count=None).model_fields_set


def test_null_stays_null_where_it_is_allowed() -> None:
    assert read(label=None).label is None
    assert read(free=None).free is None
    assert read(label=None).model_fields_set == {"label"}


def test_null_for_a_required_property_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        Inner.model_validate({"kind": None})
    assert [one["loc"] for one in refused.value.errors()] == [("kind",)]


@pytest.mark.parametrize("spelled", ["NON_COMPLIANT", "non_compliant", "Non-Compliant", "non-compliant"])
def test_enums_in_any_spelling_and_place(spelled: str) -> None:
    found = read(kind=spelled, kinds=[spelled, "PENDING"], maybe=spelled, inner={"kind": spelled})
    assert found.inner is not None
    assert (found.kind, found.kinds[0], found.maybe, found.inner.kind) == (Status.NON_COMPLIANT,) * 4
    assert Sample.model_validate_json(f'{{"kind": "{spelled}"}}').kind is Status.NON_COMPLIANT


@pytest.mark.parametrize("wrong", ["", "COMPLIANT", "NON COMPLIANT", 1, ["PENDING"], {}])
def test_other_enum_values_are_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        read(kind=wrong)


def test_values_that_differ_from_names() -> None:
    class Lower(StrEnum):
        PULL_REQUEST = "pull-request"

    class Holder(WireIn):
        kind: Lower = Field(validation_alias=AliasChoices("kind", "type"))

    for spelled in ("pull-request", "PULL_REQUEST", "Pull_Request"):
        assert Holder.model_validate({"kind": spelled}).kind is Lower.PULL_REQUEST
        assert Holder.model_validate({"type": spelled}).kind is Lower.PULL_REQUEST


@pytest.mark.parametrize("data", [None, [], "text", 1])
def test_anything_but_an_object_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate(data)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05.678901Z"),
        (datetime(999, 1, 2, 3, 4, 5, tzinfo=UTC), "0999-01-02T03:04:05.000000Z"),
    ],
)
def test_instants_have_one_form(at: datetime, text: str) -> None:
    assert format_instant(at) == text


class Moment(WireModel):
    at: Instant
    until: Instant | None = None


def test_instants_travel_both_ways() -> None:
    moment = Moment.model_validate({"at": "2026-01-02T03:04:05.1234569+01:00", "until": None})
    assert moment.at == datetime(2026, 1, 2, 2, 4, 5, 123456, tzinfo=UTC)
    assert moment.model_dump_json() == '{"at":"2026-01-02T02:04:05.123456Z","until":null}'


@pytest.mark.parametrize(
    "wrong", ["2026-01-02T03:04:05", "yesterday", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"]
)
def test_instants_without_offset_or_out_of_range_are_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Moment.model_validate({"at": wrong})


@pytest.mark.parametrize("hint", [datetime, datetime | None, list[datetime], dict[str, datetime]])
def test_a_plain_datetime_field_is_refused_at_definition(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"Wrong\.at: use .*Instant"):
        type("Wrong", (WireModel,), {"__annotations__": {"at": hint}, "__module__": __name__})
