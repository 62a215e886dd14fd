"""What one more operation costs `make test`, counted in requests.

Measured on two cores, with Postgres and Valkey on the same ones: a request of these walks takes 4 ms of one core, with
its client, its statements and its share of the fixtures (8,600 requests in 35 s of tests). So half a second on two
cores, the most that an operation may cost, is 260 requests; no operation reaches that, even where none was like it
before. One that is like others costs the two requests of the walk that goes everywhere. If operations to come bring new
kinds as often as those of today, they cost 50 at most on average; their own tests, which nobody counts here, send about
100. Both together are 0.3 s.
"""

import re
from importlib import import_module
from statistics import mean
from types import ModuleType

import pytest

from api.http.binding import Endpoint
from tests.api.table import ENDPOINTS, name_of
from tests.api.walks import Walk
from tests.paths import ROOT

MOST = 260
ON_AVERAGE = 50
OF_A_KNOWN_KIND = 2


def walking_modules() -> list[ModuleType]:
    walks = re.compile(r"^[A-Z_]+ = Walk\(", re.MULTILINE)
    paths = [path for path in (ROOT / "tests").rglob("test_*.py") if walks.search(path.read_text())]
    return [import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in sorted(paths)]


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    return [one for module in walking_modules() for one in vars(module).values() if isinstance(one, Walk)]


def sent(walk: Walk, endpoint: Endpoint) -> int:
    """What a walk sends to one route, in ordinary requests."""
    return walk.most(endpoint) * walk.times * walk.weight


def test_an_operation_of_a_new_kind(walks: list[Walk]) -> None:
    """Of a kind, and with a permission, that no other has: every walk goes to it."""
    walked = [one for one in walks if one.pattern]
    costs = {name_of(one): sum(sent(walk, one) for walk in walked if one in walk.endpoints) for one in ENDPOINTS}
    assert {name: cost for name, cost in costs.items() if cost > MOST} == {}


def test_an_operation_of_a_known_kind(walks: list[Walk]) -> None:
    everywhere = [one for one in walks if one.pattern is name_of]
    costs = {name_of(one): sum(sent(walk, one) for walk in everywhere if one in walk.endpoints) for one in ENDPOINTS}
    assert {name: cost for name, cost in costs.items() if cost > OF_A_KNOWN_KIND} == {}


def test_an_operation_on_average(walks: list[Walk]) -> None:
    total = sum(sent(walk, one) for walk in walks for one in walk.brief)
    assert total / len(ENDPOINTS) <= ON_AVERAGE


def test_every_walk_is_counted(walks: list[Walk]) -> None:
    """A sum over nothing would pass every test above."""
    assert len(walks) >= 20
    assert mean(len(walk.endpoints) for walk in walks) > 20
