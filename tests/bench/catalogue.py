"""What is measured, in the order of the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.bench.outcomes import HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import Prepared
from tests.bench.scenarios import (
    accept,
    assertion,
    attest,
    authenticate,
    drain,
    drain_large,
    gate,
    latency,
    notify,
    opa,
    peers,
    processes,
    relay,
    reports,
    scale,
    snapshots,
    startup,
    upload,
)
from tests.bench.testbed import Testbed

Run = Callable[[Testbed, Prepared, Plan], Outcome]
Profile = Callable[[Testbed, Prepared, Plan], list[HotSpot]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured together. `profile` is there where a process of ours is what limits."""

    run: Run
    profile: Profile | None = None

    def measure(self, testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
        """Measure; and profile in a run of its own when asked to, or when a target is missed."""
        outcome = self.run(testbed, prepared, plan)
        if self.profile and (plan.profile or not outcome.met):
            return replace(outcome, hot=self.profile(testbed, prepared, plan))
        return outcome


SCENARIOS: Mapping[str, Scenario] = {
    accept.NAME: Scenario(accept.run, accept.profile),
    attest.NAME: Scenario(attest.run, attest.profile),
    authenticate.NAME: Scenario(authenticate.run),
    processes.NAME: Scenario(processes.run),
    drain.NAME: Scenario(drain.run, drain.profile),
    drain_large.NAME: Scenario(drain_large.run, drain_large.profile),
    peers.NAME: Scenario(peers.run),
    assertion.NAME: Scenario(assertion.run, assertion.profile),
    gate.NAME: Scenario(gate.run, gate.profile),
    upload.NAME: Scenario(upload.run),
    latency.NAME: Scenario(latency.run),
    relay.NAME: Scenario(relay.run, relay.profile),
    notify.NAME: Scenario(notify.run),
    startup.NAME: Scenario(startup.run),
    scale.NAME: Scenario(scale.run),
    reports.NAME: Scenario(reports.run, reports.profile),
    snapshots.NAME: Scenario(snapshots.run),
    opa.NAME: Scenario(opa.run),
}
