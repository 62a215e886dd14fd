"""What is measured, in the order of the report (issues 2, 3 and 4, "Speed")."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.bench.outcomes import HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import Prepared
from tests.bench.scenarios import accept, assertion, attest, drain, latency, notify, relay, scale, startup, upload
from tests.bench.stand import Stand

Run = Callable[[Stand, Prepared, Plan], Outcome]
Profile = Callable[[Stand, Prepared, Plan], list[HotSpot]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line or more of the contract. `profile` is there where the limit is a process of ours."""

    run: Run
    profile: Profile | None = None

    def measure(self, stand: Stand, prepared: Prepared, plan: Plan) -> Outcome:
        """Measure; and profile in a run of its own when asked to, or when a target is missed."""
        outcome = self.run(stand, prepared, plan)
        if self.profile and (plan.profile or not outcome.met):
            return replace(outcome, hot=self.profile(stand, prepared, plan))
        return outcome


SCENARIOS: Mapping[str, Scenario] = {
    accept.NAME: Scenario(accept.run, accept.profile),
    attest.NAME: Scenario(attest.run, attest.profile),
    drain.NAME: Scenario(drain.run, drain.profile),
    assertion.NAME: Scenario(assertion.run, assertion.profile),
    upload.NAME: Scenario(upload.run),
    latency.NAME: Scenario(latency.run),
    relay.NAME: Scenario(relay.run, relay.profile),
    notify.NAME: Scenario(notify.run),
    startup.NAME: Scenario(startup.run),
    scale.NAME: Scenario(scale.run),
}
