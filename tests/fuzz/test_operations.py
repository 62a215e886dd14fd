"""What the document promises, held against a live server by requests that nobody thought of.

No answer may be a failure of ours, have a status, media type or header that is not documented, or a body that does not
fit its schema. `make test-all` sends a few requests to each operation, always the same, and `make test` does so for one
operation of each pattern. `make fuzz` sends FUZZ_REQUESTS to each, others every time. A failure prints its request as a
curl line.
"""

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.http.binding import Endpoint
from tests.api.table import FINITE
from tests.api.walks import Walk
from tests.fuzz.live import Live

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SHORT = 5
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "0"))
BRIEFLY = settings(
    max_examples=REQUESTS or SHORT,
    derandomize=not REQUESTS,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink] if REQUESTS else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONGEST_LINE = 8000
"""aiohttp takes 8,190 bytes."""
KNOWN_FIELDS = {"flowId": "flow_id", "trailId": "trail_id", "attestationId": "attestation_id"}
"""Of bodies, with the path parameters that take the same ids."""


def cases(operation: APIOperation[Any, Any, Any, Any], world: dict[str, str]) -> st.SearchStrategy[Case[Any]]:
    """Requests that fit the document and such that do not, about what there is and about what there is not."""
    return st.one_of([operation.as_strategy(**options) for options in _options(operation, world)])


def _options(operation: APIOperation[Any, Any, Any, Any], world: dict[str, str]) -> Iterator[dict[str, Any]]:
    inputs = bool(list(operation.iter_parameters()) or operation.body)
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if inputs else [])]
    known = {one.name: world[one.name] for one in operation.path_parameters if one.name in world}
    for mode in modes:
        yield {"generation_mode": mode}
        if known and operation.method != "delete":  # or nothing would be left to ask for
            yield {"generation_mode": mode, "path_parameters": known}


def _encoded(query: Any) -> int:
    return len(urlencode(query or {}, doseq=True))


ANSWERS = Walk(FINITE, requests=REQUESTS or SHORT, weight=5)


@ANSWERS.routes()
def test_every_answer_is_one_that_is_documented(live: Live, schema: BaseSchema, endpoint: Endpoint) -> None:
    operation = schema[endpoint.route.plain_path][endpoint.route.method]

    @BRIEFLY
    @given(case=cases(operation, live.world), known=st.booleans())
    def send(case: Case[Any], *, known: bool) -> None:
        if known and isinstance(case.body, dict):
            case.body |= {field: live.world[KNOWN_FIELDS[field]] for field in case.body.keys() & KNOWN_FIELDS.keys()}
        # Longer lines end in aiohttp's parser, with its own bare 400, before any surface could speak.
        assume(len(case.as_transport_kwargs(base_url=live.address)["url"]) + _encoded(case.query) < LONGEST_LINE)
        case.call_and_validate(base_url=live.address, headers=live.headers, checks=CHECKS)

    send()
