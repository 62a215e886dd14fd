"""What becomes of reading and deciding when there is a hundred times as much: the same requests to two databases."""

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256

import asyncpg

from storage.database import Reader
from storage.ledger.queries import inclusion_proof
from tests.bench.asking import REQUESTS, Question, times_of
from tests.bench.figures import Spread
from tests.bench.outcomes import TIMES, Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.product import Prepared, bench_settings
from tests.bench.seed import PER_TRAIL, Place, seed, shown
from tests.bench.testbed import TEMPLATE, Testbed, fetch_value

NAME = "scale"
SHARE = 100
SMALL, LARGE = "bench_small", "bench_large"


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Both are seeded, then every question goes to one and the other in turn."""
    sizes = {SMALL: plan.trails // SHARE, LARGE: plan.trails}
    urls = {name: _seeded(testbed, prepared, name, trails) for name, trails in sizes.items()}
    with ExitStack() as running:
        apis = {name: running.enter_context(testbed.api(url)) for name, url in urls.items()}
        times = times_of(apis, _questions(prepared, urls), plan.rounds)
    proofs = asyncio.run(_proofs(urls[LARGE], prepared))
    ratios = {what: _ratio(found) for what, found in times.items()}
    checks = [
        Check.at_most(f"{what}: large against small", ratio, 1.3 if what == "assert" else 1.5, TIMES)
        for what, ratio in ratios.items()
    ]
    series = [
        Series(f"{what}: {'large' if name == LARGE else 'small'}", "ms", values)
        for what, found in times.items()
        for name, values in found.items()
    ]
    return Outcome(
        NAME,
        f"{plan.trails * PER_TRAIL:,} attestations, {plan.trails:,} trails and as many artifacts, against a {SHARE}th",
        [*series, Series("inclusion proof", "ms", proofs)],
        [*checks, Check.at_most("inclusion proof", Spread.of(proofs).median, 5, "ms")],
    )


def _seeded(testbed: Testbed, prepared: Prepared, name: str, trails: int) -> str:
    url = testbed.fresh(name, TEMPLATE)
    place = Place(prepared.org_id, prepared.flow_id, prepared.principal_id)
    asyncio.run(seed(bench_settings(testbed, url), place, trails, shown))
    testbed.settle()
    return url


def _questions(prepared: Prepared, urls: Mapping[str, str]) -> dict[str, dict[str, Question]]:
    """By what they ask, then by database: each is asked for what it has."""
    flow = f"/api/v1/flows/{prepared.flow_id}"
    everywhere = {
        "flows": "/api/v1/flows",
        "trails": "/api/v1/trails?size=100",
        "trails of a flow": f"{flow}/trails?size=100",
        "audit": "/api/v1/audit?size=100",
        "audit by name": "/api/v1/audit?size=100&eventType=ARTIFACT_REPORTED",
        "ledger entries": "/api/v1/ledger/entries?size=100",
        "gaps": f"/api/v1/evidence/gaps?flowId={prepared.flow_id}",
    }
    questions = {what: dict.fromkeys(urls, Question(path)) for what, path in everywhere.items()}
    trails = {name: fetch_value(url, _SOME_TRAIL) for name, url in urls.items()}
    of_trail = {"attestations of a trail": "attestations?size=100", "audit of a trail": "audit"}
    for what, rest in of_trail.items():
        questions[what] = {name: Question(f"/api/v1/trails/{trails[name]}/{rest}") for name in urls}
    digest = "sha256:" + sha256(b"artifact 7").hexdigest()
    questions["artifacts by digest"] = dict.fromkeys(urls, Question(f"/api/v1/artifacts?sha256={digest}"))
    body = json.dumps({"flowId": str(prepared.flow_id), "sha256Digest": digest}).encode()
    questions["assert"] = dict.fromkeys(urls, Question("/api/v1/assert", body))
    return questions


_SOME_TRAIL = "SELECT id FROM trails ORDER BY created_at DESC LIMIT 1"


def _ratio(found: Mapping[str, Sequence[float]]) -> float:
    return Spread.of(found[LARGE]).median / Spread.of(found[SMALL]).median


async def _proofs(url: str, prepared: Prepared) -> list[float]:
    """Milliseconds that a proof takes, of entries all over the ledger."""
    connection = await asyncpg.connect(url)
    try:
        reader = Reader(connection)
        size = await reader.value("SELECT max(seq) FROM ledger_entries WHERE org_id = $1", prepared.org_id)
        chosen = random.Random(7).choices(range(1, size + 1), k=REQUESTS)
        times = []
        for seq in chosen:
            started = time.perf_counter()
            await inclusion_proof(reader, prepared.org_id, seq, size)
            times.append((time.perf_counter() - started) * 1000)
        return times
    finally:
        await connection.close()
