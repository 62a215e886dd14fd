"""Starting an API process on a database that is up, until it says that it is ready."""

from functools import partial

from tests.bench.figures import Spread
from tests.bench.outcomes import Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.rounds import alternate
from tests.bench.testbed import Testbed

NAME = "startup"


def run(testbed: Testbed, _prepared: Prepared, plan: Plan) -> Outcome:
    """From the start of the interpreter to the first 200 of /health/ready, to within 10 ms."""
    found = alternate({NAME: partial(_start, testbed, install(testbed))}, plan.rounds)[NAME]
    return Outcome(
        NAME,
        "`python -m api` until /health/ready answers 200, database up",
        (Series("start-up", "s", found),),
        (Check.at_most("start-up", Spread.of(found).median, 3, "s"),),
    )


def _start(testbed: Testbed, url: str) -> float:
    with testbed.api(url) as api:
        return api.start_seconds
