"""With a key that is limited to a flow, another flow's ids do not exist, on every route that such a key may call."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from api.http.binding import Endpoint
from storage.services import Services
from tests.api.caller import Answer, Caller, make_holder
from tests.api.table import EMPTY_OF_NOBODY, GUARDED, OF_JOBS, asking_url, body_of, file_for, wanted_by
from tests.api.walks import TO_MAKE, Walk
from tests.api.world import Things

pytestmark = pytest.mark.asyncio(loop_scope="session")

OF_NOBODY = {"get_me", "get_limits"}
"""Routes that concern nothing which scopes limit."""
OF_KEYS = {"create_api_key", "create_service_account_key"}
"""Routes that make a key: one beyond the scopes of the caller's is refused."""
LISTS_OF_KEYS = {"list_owner_api_keys", "list_service_account_keys"}
"""Routes whose path names an owner, who is nobody's in particular."""
IN_ITEMS = {"collect_evidence": ["trail_id"]}
"""What the items of a body are about."""
NOT_THERE_YET = {"get_provenance"}
SUMS = {"summarise_security_scans": "totalScans"}
"""Routes that count what a list would show, and the number that they answer."""

OF_SESSIONS = {"start_session", "list_sessions", "sign_out"}
"""Routes for people alone, whose tests are in tests/api/identity/test_sessions.py."""
SCOPED = tuple(one for one in GUARDED if one.route.scoped and one.route.name not in OF_SESSIONS | OF_JOBS)
LISTED = ("flow_id", "trail_id", "attestation_id", "artifact_id", "evidence_id", "verdict_id", "gate_result_id")
"""What is made before a list without an id in its path is asked for."""
LISTED_APART = {
    "list_environments": ("environment_id",),
    "list_approvals": ("approval_id",),
    "list_break_glass_approvals": ("overridden_approval_id",),
    "list_logical_environments": ("logical_environment_id",),
    "list_security_scans": ("security_scan_id",),
    "summarise_security_scans": ("security_scan_id",),
}
KEPT_APART = Walk(SCOPED, requests=2 * (TO_MAKE + 6) + 6)


class Side:
    """A flow with all that stands on it, and the scopes of a key for it."""

    def __init__(self, api: Caller, endpoint: Endpoint) -> None:
        self.things = Things(api)
        self.endpoint = endpoint
        self.scopes: list[str] = []
        self.ids: dict[str, str] = {}

    async def found(self) -> None:
        """Make its flows only."""
        api, made = self.things.api, self.things.made
        made["flow"] = await api.make_flow(requiredAttestationTypes=["BUILD", "REVIEW"])
        self.scopes = [f"flow:{made['flow']['id']}"]
        if "empty_flow_id" in wanted_by(self.endpoint):
            self.scopes.append(f"flow:{(await self.things.empty_flow())['id']}")
        if "/environments" in self.endpoint.route.path:
            self.scopes.append(f"environment:{(await self.things.environment())['id']}")
        if "/logical-environments" in self.endpoint.route.path:
            [identifier] = (await self.things.ids("logical_environment_id")).values()
            self.scopes.append(f"environment:{identifier}")

    async def fill(self) -> None:
        """Make what the route is about."""
        wanted = [*wanted_by(self.endpoint), *IN_ITEMS.get(self.endpoint.route.name, ())]
        if {"key_id", "api_key_id"} & set(wanted) or self.endpoint.route.name in LISTS_OF_KEYS:
            account = await self.things.service_account()
            body = {"label": "build", "scopes": self.scopes}
            key = await self.things.api.post(f"/service-accounts/{account['id']}/api-keys", body)
            self.things.made["key"] = key.json
        without_id = self.endpoint.signature.query is not None and "{" not in self.endpoint.route.path
        listed = LISTED_APART.get(self.endpoint.route.name, LISTED)
        self.ids = await self.things.ids(*(listed if without_id else wanted))

    async def ask(self, caller: Caller) -> Answer:
        endpoint = self.endpoint
        body = body_of(endpoint, self.ids)
        if endpoint.route.name in OF_KEYS:
            body |= {"scopes": self.scopes}
        if endpoint.route.name == "collect_evidence":
            body["items"][0]["trailId"] = self.ids["trail_id"]
        url = asking_url(endpoint, **self.ids)
        return await caller.send(endpoint.route.method, url, json=body or None, data=file_for(endpoint))


@KEPT_APART.routes()
async def test_another_flow_is_unknown_and_ones_own_is_not(
    app_services: Services, api: Caller, endpoint: Endpoint
) -> None:
    own, other = Side(api, endpoint), Side(api, endpoint)
    await own.found()
    await other.found()
    await other.fill()
    holder = await make_holder(app_services, api.tenant, "admin", scopes=own.scopes)
    limited = replace(api, key=holder.key)
    before = await newest_event(api)
    check_foreign(endpoint, await other.ask(limited), other.ids)
    if endpoint.route.name in OF_KEYS:  # whoever wants to hand on more than they hold is audited
        assert (await api.get("/audit?size=1")).json["events"][0]["eventType"] == "ACCESS_DENIED"
    else:
        assert await newest_event(api) == before, "nothing is changed"
    await own.fill()
    check_own(endpoint, await own.ask(limited), own.ids, other.ids)


def check_foreign(endpoint: Endpoint, answer: Answer, ids: Mapping[str, str]) -> None:
    """What belongs to the other flow does not exist."""
    name = endpoint.route.name
    if name in OF_NOBODY:
        assert answer.status == 200
    elif name in OF_KEYS:
        assert (answer.status, "your credential cannot" in answer.text) == (403, True), answer.text
    elif name in SUMS:
        assert (answer.status, answer.json[SUMS[name]]) == (200, 0)
    elif name in LISTS_OF_KEYS | EMPTY_OF_NOBODY:
        assert (answer.status, answer.json) == (200, [])
    elif name == "collect_evidence":
        assert (answer.json["accepted"], answer.json["failed"]) == (0, 1), answer.text
    elif is_list(endpoint):
        check_list(answer, ids)
    else:
        assert answer.status == 404, answer.text


def check_own(endpoint: Endpoint, answer: Answer, ids: Mapping[str, str], foreign: Mapping[str, str]) -> None:
    """What belongs to one's own flow is there, and in a list nothing else."""
    assert answer.status in ({404} if endpoint.route.name in NOT_THERE_YET else {200, 201, 204}), answer.text
    if endpoint.route.name == "collect_evidence":
        assert answer.json["accepted"] == 1
    if endpoint.route.name in SUMS:
        assert answer.json[SUMS[endpoint.route.name]] == 1
    elif is_list(endpoint):
        assert rows_of(answer), "there is something to see"
        assert any(identifier in answer.text for identifier in ids.values())
        check_list(answer, foreign)


def is_list(endpoint: Endpoint) -> bool:
    """Whether the route lists what no id in its path names."""
    return endpoint.signature.query is not None and "{" not in endpoint.route.path


def rows_of(answer: Answer) -> list[Any]:
    return answer.json if isinstance(answer.json, list) else answer.json["gaps"]


def check_list(answer: Answer, foreign: Mapping[str, str]) -> None:
    assert answer.status == 200, answer.text
    apart = {identifier for name, identifier in foreign.items() if name not in {"sha256", "digest"}}
    assert not [identifier for identifier in apart if identifier in answer.text]
    assert answer.headers["X-Total-Count"] == str(len(rows_of(answer)))


async def newest_event(api: Caller) -> str:
    return str((await api.get("/audit?size=1")).json["events"][0]["id"])
