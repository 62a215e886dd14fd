"""What the gate decides, for Prometheus."""

from prometheus_client import Counter

from storage.gates.commands.gate import Decided

DECISIONS = Counter("trailgate_gate_decisions", "Decisions of the gate, by outcome", ["outcome"])
POLICIES = Counter("trailgate_gate_policies", "Policies that the gate evaluated, by outcome", ["policy", "outcome"])
MAX_POLICIES = 500
"""Policies with a series of their own in one process; later ones are counted together."""

_known: set[str] = set()


def count_decision(decided: Decided) -> None:
    """Count a decision and what each policy said. A policy is named by its id: everybody may read the metrics."""
    DECISIONS.labels(decided.decision.outcome.value).inc()
    for result in decided.decision.results:
        POLICIES.labels(_label(str(result.policy.id)), result.outcome.value).inc()


def _label(policy_id: str) -> str:
    if policy_id not in _known and len(_known) >= MAX_POLICIES:
        return "other"
    _known.add(policy_id)
    return policy_id
