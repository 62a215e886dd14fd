"""Routes of bulk evidence, evidence summaries and evidence gaps."""

from api.facts.handlers import collection
from api.http.calls import MEBIBYTE, Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

COLLECT_CAP = 8 * MEBIBYTE
"""Bytes: enough for 500 items with 16 KiB of details each."""

ROUTES = tagged(
    "Evidence collection",
    *scoped(
        Route(
            "POST",
            f"{V1}/evidence/collect",
            collection.collect_evidence,
            Permission.FACTS_REPORT,
            status=201,
            max_body=COLLECT_CAP,
        ),
        Route("GET", f"{V1}/evidence/gaps", collection.list_evidence_gaps, Permission.FACTS_READ),
        Route(
            "GET", f"{V1}/trails/{{trail_id}}/evidence-summary", collection.get_evidence_summary, Permission.FACTS_READ
        ),
    ),
)
