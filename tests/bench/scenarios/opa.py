"""Evaluating a Rego policy of 200 lines by API, one request after the other; each decision is kept and audited."""

import json
import urllib.request

from tests.bench.asking import Question, ask
from tests.bench.figures import Spread, percentile
from tests.bench.outcomes import Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.product import Prepared, create, install
from tests.bench.rounds import alternate
from tests.bench.testbed import ADMIN_KEY, Running, Testbed

NAME = "opa"
REQUESTS = 200
"""Of each round."""
TYPES = 28
ATTESTATIONS = 10
_HEAD = "package release\n\nimport rego.v1\n\ndefault allow := false\n\nallow if count(deny) == 0\n"
_RULE = """
deny contains msg if {{
    some one in input.attestations
    one.type == "type-{number}"
    one.status != "PASSED"
    msg := sprintf("%s is %s", [one.type, one.status])
}}
"""
POLICY = _HEAD + "".join(_RULE.format(number=number) for number in range(TYPES))


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """The process that evaluates is warm: a first request has made it build the policy."""
    with testbed.api(install(testbed)) as api:
        _activate(api)
        question = Question("/api/v1/opa/evaluate", json.dumps(_input()).encode())
        ask(api, question)
        meter = Meter({"the API": api.pid, "PostgreSQL": testbed.postgres_pid})
        found = alternate({NAME: lambda: [ask(api, question) for _ in range(REQUESTS)]}, plan.rounds)[NAME]
        busy = meter.cores()
    p50, p95 = ([percentile(times, percent) for times in found] for percent in (50, 95))
    return Outcome(
        NAME,
        f"a policy of {len(POLICY.splitlines())} lines and {ATTESTATIONS} attestations, one API process",
        (Series("p50", "ms", p50), Series("p95", "ms", p95)),
        (
            Check.figure("p50", Spread.of(p50).median, "ms"),
            Check.at_most("p95", Spread.of(p95).median, 15, "ms"),
        ),
        busy,
    )


def _activate(api: Running) -> None:
    body = {"name": "release", "version": "1.0.0", "regoContent": POLICY}
    bundle = create(api.url, "/api/v1/opa/bundles", body)
    path = f"{api.url}/api/v1/opa/bundles/{bundle['id']}/activate"
    with urllib.request.urlopen(urllib.request.Request(path, headers={"X-Api-Key": ADMIN_KEY}, method="PUT")):
        return


def _input() -> dict[str, object]:
    attestations = [{"type": f"type-{number}", "status": "PASSED"} for number in range(ATTESTATIONS)]
    return {"artifactName": "app", "artifactVersion": "1.0", "attestations": attestations}
