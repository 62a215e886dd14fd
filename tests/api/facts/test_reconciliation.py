"""Reconciliation of a webhook config: set, read, removed, and never its token."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from storage.services import Services, open_services
from tests.api.caller import Caller, found_organisation
from tests.api.times import assert_times
from tests.conftest import Installation
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOOK = "https://api.github.com/repos/example/app/hooks/42"
TOKEN = "a-token-nobody-shows"


async def make_config(api: Caller, source: str = "GITHUB") -> str:
    flow = await api.make_flow()
    return str((await api.make_config(flow["id"], source))["id"])


def path_of(config_id: str) -> str:
    return f"/webhook-configs/{config_id}/reconciliation"


async def audited(api: Caller, config_id: str) -> list[Any]:
    events = (await api.get("/audit?sortDesc=false&size=100")).json["events"]
    return [e for e in events if e["recordId"] == config_id and e["eventType"] == "WEBHOOK_CONFIG_RECONCILED"]


async def test_it_is_set_and_read_and_never_shows_its_token(api: Caller, app_services: Services) -> None:
    config_id = await make_config(api)
    await api.get(path_of(config_id), status=404)
    made = await api.reconcile(config_id, hookUrl=HOOK, token=TOKEN)
    assert made.json == {
        "webhookConfigId": config_id,
        "hookUrl": HOOK,
        "nextRunAt": made.json["nextRunAt"],
        "lastRunAt": None,
        "lastError": None,
        "createdAt": made.json["nextRunAt"],
    }
    assert_times(made.json, "nextRunAt", "createdAt")
    read = await api.get(path_of(config_id))
    assert read.json == made.json
    everything = [made, read, await api.get("/audit?size=100"), await api.get("/webhook-configs")]
    assert not [answer for answer in everything if TOKEN in answer.text]
    async with app_services.database.read() as reader:
        kept = await reader.row(
            "SELECT s.data, r.* FROM reconciliations r JOIN secrets s ON s.id = r.secret_id WHERE config_id = $1",
            config_id,
        )
    assert kept is not None
    assert TOKEN.encode() not in kept["data"]
    assert TOKEN not in str(dict(kept))


async def test_it_is_set_anew(api: Caller, app_services: Services) -> None:
    config_id = await make_config(api)
    await api.reconcile(config_id)
    async with app_services.database.transaction() as tx:
        await tx.execute(
            "UPDATE reconciliations SET last_error = 'e', last_run_at = now(), next_run_at = now() + interval '1 h' "
            "WHERE config_id = $1",
            config_id,
        )
    seen = (await api.get(path_of(config_id))).json
    assert seen["lastError"] == "e"
    assert_times(seen, "lastRunAt")
    url = "https://github.example.com/api/v3/orgs/example/hooks/7"
    anew = (await api.reconcile(config_id, hookUrl=url)).json
    assert (anew["hookUrl"], anew["lastError"], anew["lastRunAt"]) == (url, None, None)
    assert anew["nextRunAt"] < seen["nextRunAt"]


async def test_it_is_removed_with_its_token(api: Caller, app_services: Services) -> None:
    config_id = await make_config(api)
    await api.reconcile(config_id)
    async with app_services.database.read() as reader:
        secret_id = await reader.value("SELECT secret_id FROM reconciliations WHERE config_id = $1", config_id)
        gone = await api.send("DELETE", path_of(config_id))
        assert (gone.status, gone.text) == (204, "")
        assert await reader.value("SELECT count(*) FROM secrets WHERE id = $1", secret_id) == 0
    await api.get(path_of(config_id), status=404)
    assert (await api.send("DELETE", path_of(config_id))).status == 404


async def test_it_ends_with_its_config(api: Caller, app_services: Services) -> None:
    config_id = await make_config(api)
    await api.reconcile(config_id)
    assert (await api.send("DELETE", f"/webhook-configs/{config_id}", params={"dryRun": "true"})).status == 200
    await api.get(path_of(config_id))
    assert (await api.send("DELETE", f"/webhook-configs/{config_id}")).status == 204
    await api.get(path_of(config_id), status=404)
    await api.reconcile(config_id, status=404)
    async with app_services.database.read() as reader:
        assert await reader.value("SELECT count(*) FROM reconciliations WHERE config_id = $1", config_id) == 0


async def test_both_changes_are_audited_and_the_config_still_verifies(api: Caller, app_services: Services) -> None:
    config_id = await make_config(api)
    await api.reconcile(config_id)
    await api.send("DELETE", path_of(config_id))
    events = await audited(api, config_id)
    assert [event["recordVersion"] for event in events] == [1, 1]
    payloads = [event["payload"] for event in events]
    assert [TOKEN in str(payload) for payload in payloads] == [False, False]
    assert ["hooks/42" in str(payload) for payload in payloads] == [True, False]
    await Sealer()(app_services)
    verified = (await api.post(f"/ledger/verify/{config_id}", status=200)).json
    assert (verified["verified"], verified["result"]) == (True, "verified")


async def test_a_dry_run_keeps_nothing(api: Caller) -> None:
    config_id = await make_config(api)
    body = {"hookUrl": HOOK, "token": TOKEN}
    dry: dict[str, Any] = {"headers": {"X-Dry-Run": "true"}}
    rehearsed = await api.send("PUT", path_of(config_id), json=body, **dry)
    assert (rehearsed.status, rehearsed.json["wouldUpdate"]["hookUrl"]) == (200, HOOK)
    assert TOKEN not in rehearsed.text
    await api.get(path_of(config_id), status=404)
    made = (await api.reconcile(config_id)).json
    gone = await api.send("DELETE", path_of(config_id), **dry)
    assert (gone.status, gone.json["wouldDelete"]) == (200, made)
    assert (await api.get(path_of(config_id))).json == made
    assert len(await audited(api, config_id)) == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"hookUrl": "http://api.github.com/repos/o/r/hooks/42"}, "hookUrl"),
        ({"hookUrl": "https://api.github.com/repos/o/r"}, "hookUrl"),
        ({"hookUrl": "https://u:p@api.github.com/repos/o/r/hooks/42"}, "hookUrl"),
        ({"hookUrl": "https://api.github.com/repos/o/r/hooks/" + "9" * 3000}, "hookUrl"),
        ({"hookUrl": None}, "hookUrl"),
        ({"token": ""}, "token"),
        ({"token": " "}, "token"),
        ({"token": "two words"}, "token"),
        ({"token": "a\r\nX-Injected: b"}, "token"),
        ({"token": "ä"}, "token"),
        ({"token": "x" * 2049}, "token"),
        ({"token": None}, "token"),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, fields: Any, named: str) -> None:
    config_id = await make_config(api)
    refused = await api.reconcile(config_id, status=400, **{"token": TOKEN, **fields})
    assert refused.fields == [named]
    assert TOKEN not in refused.text
    await api.get(path_of(config_id), status=404)


@pytest.mark.parametrize("field", ["hookUrl", "token"])
async def test_neither_goes_without_the_other(api: Caller, field: str) -> None:
    """A stored token must not be sent to an address given by somebody who does not know it."""
    config_id = await make_config(api)
    await api.reconcile(config_id)
    body = {"hookUrl": "https://attacker.example/repos/o/r/hooks/1", "token": "t"}
    del body[field]
    refused = await api.send("PUT", path_of(config_id), json=body)
    assert (refused.status, refused.fields) == (400, [field])


async def test_only_github_can_be_asked(api: Caller) -> None:
    config_id = await make_config(api, "GENERIC")
    refused = await api.reconcile(config_id, status=409)
    assert "GITHUB" in refused.json["message"]
    assert await audited(api, config_id) == []


async def test_what_nobody_has_is_404(api: Caller) -> None:
    await api.reconcile(str(uuid4()), status=404)
    await api.get(path_of(str(uuid4())), status=404)


@pytest.mark.asyncio(loop_scope="function")
async def test_http_is_taken_where_private_networks_are_allowed(installation: Installation, tmp_path: Path) -> None:
    url = "http://git.internal.example:3000/api/v3/repos/o/r/hooks/1"
    settings = installation.settings(tmp_path, outbound_allow="10.0.0.0/8")
    async with (
        open_services(settings, "test reconciliation") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        api = await found_organisation(client, services)
        config_id = await make_config(api)
        assert (await api.reconcile(config_id, hookUrl=url)).json["hookUrl"] == url
