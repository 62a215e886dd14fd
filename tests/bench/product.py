"""The product as the scenarios find it: a flow, a GitHub webhook and some trails, made through the API, all sealed."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cli.embedded.testing import clone_database, seal_template
from storage.migrations import migrate
from storage.settings import Settings
from tests.bench.deliveries import SECRET
from tests.bench.testbed import ADMIN_KEY, PRODUCT, TEMPLATE, NotServing, Testbed, fetch_value
from tests.unthrottled import UNTHROTTLED

TRAILS = 200
_SEALED_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the template holds."""

    org_id: UUID
    principal_id: UUID
    flow_id: UUID
    config_id: UUID
    trail_ids: tuple[UUID, ...]
    digests: tuple[str, ...]

    @property
    def webhook_path(self) -> str:
        """Where GitHub would deliver."""
        return f"/api/v1/webhooks/github/{self.config_id}"


def prepare(testbed: Testbed) -> Prepared:
    """Migrate, fill and close the template that `install` clones."""
    url = asyncio.run(clone_database(testbed.admin_url, "template0", TEMPLATE))
    asyncio.run(migrate(url))
    with testbed.api(url) as api, testbed.worker(url):
        flow = create(api.url, "/api/v1/flows", {"name": "bench", "requiredAttestations": ["BUILD", "TEST"]})
        hook = {"source": "GITHUB", "secret": SECRET, "flowId": flow["id"]}
        config = create(api.url, "/api/v1/webhook-configs", hook)
        trails = [create(api.url, "/api/v1/trails", _trail(flow["id"], number)) for number in range(TRAILS)]
        digests = [_build(api.url, trail["id"], number) for number, trail in enumerate(trails)]
        _wait_until_sealed(url)
    org_id = fetch_value(url, "SELECT id FROM organisations WHERE slug = 'default'")
    principal_id = fetch_value(url, "SELECT created_by FROM flow_versions LIMIT 1")
    asyncio.run(seal_template(testbed.admin_url, TEMPLATE))
    trail_ids = tuple(UUID(trail["id"]) for trail in trails)
    return Prepared(org_id, principal_id, UUID(flow["id"]), UUID(config["id"]), trail_ids, tuple(digests))


def install(testbed: Testbed, template: str = TEMPLATE) -> str:
    """The URL of a fresh copy of a template; the one before is gone."""
    return testbed.fresh(PRODUCT, template)


def _trail(flow_id: str, number: int) -> dict[str, str]:
    return {
        "flowId": flow_id,
        "gitCommitSha": f"{number:040x}",
        "gitBranch": "main",
        "gitAuthor": "Ada Lovelace",
        "gitAuthorEmail": "ada@example.com",
    }


def _build(url: str, trail_id: str, number: int) -> str:
    """An artifact on the trail with all that is required of it; the answer is its digest."""
    digest = f"sha256:{number:064x}"
    create(url, f"/api/v1/trails/{trail_id}/artifacts", {"name": "app", "tag": str(number), "sha256Digest": digest})
    for kind in ("BUILD", "TEST"):
        create(url, f"/api/v1/trails/{trail_id}/attestations", {"type": kind, "status": "PASSED"})
    return digest


def bench_settings(testbed: Testbed, url: str) -> Settings:
    """The settings of the processes of the testbed, with their keys, for a database."""
    return Settings(database_url=url, data_dir=testbed.home / "product", **UNTHROTTLED)


def create(url: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """POST as the administrator; the answer is what was made."""
    headers = {"Content-Type": "application/json", "X-Api-Key": ADMIN_KEY}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        made: dict[str, Any] = json.load(answer)
        return made


def _wait_until_sealed(url: str) -> None:
    deadline = time.monotonic() + _SEALED_WITHIN
    while fetch_value(url, "SELECT count(*) FROM unsealed"):
        if time.monotonic() > deadline:
            raise NotServing("the worker does not seal what the preparation made")
        time.sleep(0.1)
