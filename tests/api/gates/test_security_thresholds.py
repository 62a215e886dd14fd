"""Thresholds of security scans on the wire."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.api.caller import Caller
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def path(api: Caller) -> str:
    """Of a flow without thresholds."""
    return f"/flows/{(await api.make_flow())['id']}/security-thresholds"


async def test_thresholds_are_set_replaced_and_deleted(api: Caller, path: str) -> None:
    await api.get(path, 404)
    made = (await api.post(path, {})).json
    assert_times(made, "createdAt", "updatedAt")
    shown = {"version": 1, "maxCritical": 0, "maxHigh": 0, "maxMedium": 10, "maxLow": 2147483647}
    assert {name: made[name] for name in shown} == shown
    assert (await api.get(path)).json == made
    second = (await api.post(path, {"maxHigh": 5, "maxMedium": None})).json
    assert (second["id"], second["version"], second["maxHigh"], second["maxMedium"]) == (made["id"], 2, 5, 10)
    found = await api.get(path)
    assert (found.json, found.headers["ETag"]) == (second, '"2"')
    assert (await api.send("DELETE", path, headers={"If-Match": '"1"'})).status == 412
    assert (await api.send("DELETE", path)).status == 204
    await api.get(path, 404)
    assert (await api.send("DELETE", path)).status == 404
    assert (await api.post(path, {})).json["version"] == 1
    names = [one["eventType"] for one in (await api.get("/audit?sortDesc=false")).json["events"]]
    assert [name.removeprefix("SECURITY_THRESHOLD_") for name in names if "THRESHOLD" in name] == [
        "CREATED",
        "UPDATED",
        "DELETED",
        "CREATED",
    ]


async def test_the_same_again_is_no_new_version(api: Caller, path: str) -> None:
    first, second = [(await api.post(path, {"maxHigh": 1})).json for _ in range(2)]
    assert first == second


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("maxCritical", -1),
        ("maxHigh", "0"),
        ("maxMedium", 1.5),
        ("maxLow", 2**31),
        ("maxLow", True),
        ("maxCritcal", 5),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, path: str, field: str, value: Any) -> None:
    assert (await api.post(path, {field: value}, 400)).fields == [field]
    await api.get(path, 404)


async def test_a_flow_that_is_not_there(api: Caller, path: str) -> None:
    await api.post(f"/flows/{uuid4()}/security-thresholds", {}, 404)
    await api.get(f"/flows/{uuid4()}/security-thresholds", 404)
    await api.post(path, {})
    assert (await api.send("DELETE", path.removesuffix("/security-thresholds"))).status == 204
    await api.get(path, 404)
    await api.post(path, {}, 404)


async def test_all_that_are_set_at_once_are_taken(api: Caller, path: str) -> None:
    answers = await asyncio.gather(*(api.post(path, {"maxHigh": n}) for n in range(5)))
    assert len({one.json["id"] for one in answers}) == 1
    assert sorted(one.json["version"] for one in answers) == [1, 2, 3, 4, 5]


async def test_a_dry_run_stores_nothing(api: Caller, path: str) -> None:
    would = (await api.post(f"{path}?dryRun=true", {"maxHigh": 7}, 200)).json["wouldCreate"]
    assert would["maxHigh"] == 7
    await api.get(path, 404)
