"""Tests that are run for each of many routes: for all in `make test-all`, for one of each pattern in `make test`.

What a walk may send for one route is declared, compared with what the server counts whenever the test runs, and added
up in `test_cost.py`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from api.http.binding import Endpoint
from tests.api.table import Pattern, name_of, one_of_each, pattern_of

TO_MAKE = 7
"""The most requests that the things of one route take (`tests.api.world`)."""


@dataclass(frozen=True)
class Walk:
    """A test and the routes that it is run for.

    `requests` is the most that one route takes, those for what it is about included, and `times` how often the test is
    run for it. Routes of one `pattern` are alike: `make test` goes to the first of each, to every route where the
    pattern is its name, and to none where there is no pattern. `weight` is what one of these requests costs, in
    ordinary ones.
    """

    endpoints: tuple[Endpoint, ...]
    requests: int | Callable[[Endpoint], int]
    times: int = 1
    pattern: Pattern | None = pattern_of
    weight: int = 1

    def most(self, endpoint: Endpoint) -> int:
        """The requests of one test for one route."""
        return self.requests if isinstance(self.requests, int) else self.requests(endpoint)

    @property
    def brief(self) -> tuple[Endpoint, ...]:
        """The routes that `make test` goes to."""
        return one_of_each(self.pattern, self.endpoints) if self.pattern else ()

    def routes(self) -> pytest.MarkDecorator:
        """One test for each route, as `endpoint`."""
        brief = set(self.brief)
        each = [self._param(one, [one], name_of(one), slow=one not in brief) for one in self.endpoints]
        return pytest.mark.parametrize("endpoint", each)

    def groups(self) -> pytest.MarkDecorator:
        """One test for many routes, as `endpoints`: the brief ones, and the others of each heading of the document."""
        brief = self.brief
        each = [self._param(brief, brief, "some")] if brief else []
        rest: dict[str, list[Endpoint]] = {}
        for one in self.endpoints:
            if one not in brief:
                rest.setdefault(one.route.tag or "", []).append(one)
        each += [self._param(tuple(ones), ones, tag, slow=True) for tag, ones in rest.items()]
        return pytest.mark.parametrize("endpoints", each)

    def _param(self, value: Any, endpoints: Iterable[Endpoint], name: str, *, slow: bool = False) -> ParameterSet:
        marks = [pytest.mark.walk(sum(map(self.most, endpoints)))]
        return pytest.param(value, id=name, marks=[*marks, pytest.mark.slow] if slow else marks)


@dataclass
class Served:
    """Counts what the servers of this process answered."""

    answers: int = 0

    async def count(self, _request: Any, _response: Any) -> None:
        """To be told of every response that is about to be sent."""
        self.answers += 1


SERVED = Served()


@pytest.fixture(autouse=True)
def within_its_requests(request: pytest.FixtureRequest) -> Iterator[None]:
    """A walk sends what it declared and no more."""
    walk = request.node.get_closest_marker("walk")
    assert walk or not {"endpoint", "endpoints"} & set(request.fixturenames), "walk over routes with a `Walk`"
    before = SERVED.answers
    yield
    if walk:
        [most] = walk.args
        assert SERVED.answers - before <= most
