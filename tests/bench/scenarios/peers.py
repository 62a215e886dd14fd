"""Ours beside ordinary stacks for the same task: verify a delivery, queue it, have a worker write two rows."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from tests.bench.comparison import NEGLIGIBLE, VALKEY, Measurement, Side, compare, rates, series_of
from tests.bench.deliveries import push
from tests.bench.draining import POSTGRES, WORKER, Drained, busy_of, drain_ours
from tests.bench.figures import ratio_of_medians
from tests.bench.interpreter import Interpreter
from tests.bench.outcomes import TIMES, Check, Outcome, Series
from tests.bench.peers.catalogue import PEERS, Peer
from tests.bench.peers.stack import Stack
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.rounds import alternate
from tests.bench.scenarios.accept import CONNECTIONS, EMPTY_INBOX, pushes
from tests.bench.testbed import Testbed, execute

NAME = "peers"
OURS = "Trailgate"
SHARE = 2
"""The jobs of a backlog are so many times fewer than in the drain: some peers take a minute for them."""
_TITLE = "verify a {:.1f} KB push and queue it, {} connections; then {:,} workflow runs, two rows each, one worker"
_INTRODUCTION = (
    "The same task with stacks that many teams would choose: each verifies the signature in the aiohttp handler of "
    "`accept` (b), queues the delivery, and has a worker write a delivery and a fact. Trailgate does more on both "
    "sides: it recognises repeated deliveries when they arrive, keeps the body, opens the trail, derives its status, "
    "records who did what, and seals all of it. Every process runs on uvloop. The databases of the others are analyzed "
    "once their queues are filled, as autovacuum would do in operation: procrastinate drains half as fast without."
)
_HOW_TO = """\
The last two are no dependencies of the project and run in a virtual environment of their own:

```
python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r tests/bench/peers.txt
.venv/bin/python -m tests.bench --peers-python /tmp/peers/bin/python
```

`BENCH_PEERS_PYTHON=/tmp/peers/bin/python make bench` does the same."""


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Those that can be imported; a note says so of the others."""
    found = {peer: Interpreter.inspect(_python(peer, plan), peer.packages) for peer in PEERS}
    complete = {peer: python for peer, python in found.items() if python and is_complete(peer, python)}
    stacks = [Stack(peer, python.path, testbed) for peer, python in complete.items()]
    count = plan.backlog // SHARE
    accepted = _accept(testbed, prepared, plan, stacks)
    drained = _drain(testbed, prepared, plan, stacks, count)
    return Outcome(
        NAME,
        _TITLE.format(len(push()) / 1000, CONNECTIONS, count),
        [*series_of(accepted), *(one for name, drains in drained.items() for one in _series(name, drains))],
        [check for peer in PEERS for check in _checks(peer, accepted, drained)],
        busy_of(drained[OURS]),
        [_INTRODUCTION, *(note(peer, python) for peer, python in found.items()), _HOW_TO],
    )


def is_complete(peer: Peer, python: Interpreter) -> bool:
    """Whether an interpreter has all that a peer needs."""
    return python.versions.keys() >= set(peer.packages)


def note(peer: Peer, python: Interpreter | None) -> str:
    """What runs and how, or why it was skipped."""
    if python is None:
        return f"**{peer.name}** was skipped: the interpreter that should run it does not start."
    if not is_complete(peer, python):
        missing = ", ".join(sorted(set(peer.packages) - python.versions.keys()))
        return f"**{peer.name}** was skipped: the interpreter that should run it has no {missing}."
    versions = ", ".join(f"{name} {python.versions[name]}" for name in peer.packages)
    return f"**{peer.name}**: {peer.settings}. Python {python.build}; {versions}."


def _python(peer: Peer, plan: Plan) -> str:
    return plan.peers_python if peer.foreign else sys.executable


def _accept(testbed: Testbed, prepared: Prepared, plan: Plan, stacks: Sequence[Stack]) -> dict[str, list[Measurement]]:
    """All servers run, one at a time gets requests."""
    urls = {stack: stack.prepare(f"bench_{stack.peer.module}") for stack in stacks}
    ours_url = install(testbed)
    requests = pushes(testbed.home / "peers", "/")
    with ExitStack() as running:
        api = running.enter_context(testbed.api(ours_url))
        ours = pushes(testbed.home / "accept", prepared.webhook_path)
        sides = {OURS: Side(api, ours, partial(execute, ours_url, EMPTY_INBOX))}
        for stack, url in urls.items():
            server = running.enter_context(stack.serving(url))
            sides[stack.peer.name] = Side(server, requests, partial(stack.clear, url))
        return compare(testbed, sides, CONNECTIONS, plan)


def _drain(
    testbed: Testbed, prepared: Prepared, plan: Plan, stacks: Sequence[Stack], count: int
) -> dict[str, list[Drained]]:
    sides = {OURS: lambda: drain_ours(testbed, prepared, install(testbed), count)}
    sides |= {stack.peer.name: partial(stack.drain, count) for stack in stacks}
    return alternate(sides, plan.rounds)


def _checks(
    peer: Peer, accepted: Mapping[str, Sequence[Measurement]], drained: Mapping[str, Sequence[Drained]]
) -> list[Check]:
    accept = drain = None
    if peer.name in accepted:
        accept = ratio_of_medians(rates(accepted[OURS]), rates(accepted[peer.name]))
        drain = ratio_of_medians(_speeds(drained[OURS]), _speeds(drained[peer.name]))
    return [
        Check.at_least(f"accept, against {peer.name}", accept, peer.accept, TIMES),
        Check.at_least(f"drain, against {peer.name}", drain, peer.drain, TIMES),
    ]


def _series(name: str, drains: Sequence[Drained]) -> list[Series]:
    queued_in_valkey = VALKEY in drains[0].busy and max(one.cost(VALKEY) for one in drains) > NEGLIGIBLE
    processes = [WORKER, POSTGRES, *([VALKEY] if queued_in_valkey else [])]
    return [
        Series(f"{name}: drain", "jobs/s", _speeds(drains)),
        *(
            Series(f"{name}: drain, processor time, {process}", "µs/job", [one.cost(process) for one in drains])
            for process in processes
        ),
    ]


def _speeds(drains: Sequence[Drained]) -> list[float]:
    return [one.per_second for one in drains]
