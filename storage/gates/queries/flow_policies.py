"""What the policies that are attached to flows demand of asserted artifacts."""

from collections.abc import Iterator, Mapping, Sequence

from domain.environments.compliance import ReasonCode
from domain.facts.assertions import Demands, Shortcoming
from domain.gates.evaluation import PolicyResult, PolicyVersion, evaluate, needed, without_opa
from domain.gates.verdicts import Source, demands_to_json
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.asserted import Asserted
from storage.gates.queries.evidence import sources_of
from storage.gates.queries.policies import applicable_policies


async def demands_of_flows(reader: Reader, tenant: Tenant, asserted: Mapping[int, Asserted]) -> Mapping[int, Demands]:
    """Return what the policies of its flow demand of each artifact.

    Deployment policies and bundles of OPA are for the gate alone.
    """
    flow_ids = {one.flow_id for one in asserted.values()}
    if not flow_ids:
        return {}
    applicable = await applicable_policies(reader, tenant, flow_ids, ())
    attached = {flow_id: list(map(without_opa, policies)) for flow_id, policies in applicable.of_flows.items()}
    concerned = {place: one for place, one in asserted.items() if one.flow_id in attached}
    if not concerned:
        return {}
    checks = needed(policy for policies in attached.values() for policy in policies)
    sources = await sources_of(reader, tenant, list(concerned.values()), checks)
    return {place: _demands(attached[one.flow_id], sources[one.report_id]) for place, one in concerned.items()}


def _demands(policies: Sequence[PolicyVersion], source: Source) -> Demands:
    results = [evaluate(policy, [source.evidence], None) for policy in policies]
    return Demands(tuple(shortcomings(results)), demands_to_json(policies, source))


def shortcomings(results: Sequence[PolicyResult]) -> Iterator[Shortcoming]:
    """Yield what keeps an artifact from fulfilling policies."""
    for result in results:
        for reason in result.reasons:
            failed = reason.code is ReasonCode.ATTESTATION_FAILED
            yield Shortcoming(reason.message, reason.attestation_type, reason.attestation_name, failed)
