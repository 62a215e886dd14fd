"""`make bench`: measure, print the results, write docs/benchmarks.md."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from tests.bench.catalogue import SCENARIOS
from tests.bench.load import MissingTool, require_wrk
from tests.bench.machine import cores, machine_facts
from tests.bench.outcomes import Outcome
from tests.bench.plan import Plan
from tests.bench.product import prepare
from tests.bench.report import render
from tests.bench.testbed import open_testbed
from tests.paths import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 0 whether or not targets are met (the page says), 2 when a tool is missing."""
    asked = _arguments(words)
    try:
        require_wrk()
    except MissingTool as missing:
        sys.stderr.write(f"bench: {missing}\n")
        return 2
    chosen = asked.only or list(SCENARIOS)
    plan = Plan(asked.rounds, asked.seconds, profile=asked.profile, peers_python=asked.peers_python)
    page = measure(plan, chosen)
    sys.stdout.write(page)
    if not asked.only:
        PAGE.write_text(page)
    return 0


def measure(plan: Plan, chosen: Sequence[str]) -> str:
    """Run scenarios one after the other; the answer is the page."""
    outcomes: list[Outcome] = []
    with open_testbed() as testbed:
        machine = machine_facts(testbed.postgres_version())
        prepared = prepare(testbed)
        for name in chosen:
            sys.stderr.write(f"bench: {name} …\n")
            outcomes.append(SCENARIOS[name].measure(testbed, prepared, plan))
    return render(outcomes, machine, cores())


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="times that each side is measured")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="length of one measurement under load")
    parser.add_argument(
        "--only", action="append", choices=list(SCENARIOS), help="leave the others, and the page, alone; repeatable"
    )
    parser.add_argument("--profile", action="store_true", help="profile our processes, also where targets are met")
    parser.add_argument(
        "--peers-python",
        default=os.environ.get("BENCH_PEERS_PYTHON", usual.peers_python),
        help="interpreter of a virtual environment with tests/bench/peers.txt; by default $BENCH_PEERS_PYTHON or ours",
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and files go away with us
    sys.exit(main())
