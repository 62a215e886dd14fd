"""A backlog of deliveries, put into the inbox by the command of the webhook endpoint before anything is measured."""

from hashlib import sha256

from storage.authenticator import Authenticator
from storage.clock import SystemClock
from storage.database import open_database
from storage.ids import Ids
from storage.inbox.commands import Arrival, accept
from storage.keys import load_master_keys
from storage.settings import Settings
from tests.bench.deliveries import workflow_run
from tests.bench.product import Prepared

_BATCH = 250


async def fill_inbox(settings: Settings, prepared: Prepared, count: int) -> None:
    """Accept `count` successful workflow runs, each of a commit of its own, with the keys of the settings."""
    assert settings.database_url
    async with open_database(
        settings.database_url,
        size=2,
        clock=SystemClock(),
        ids=Ids(),
        name="bench",
        authenticator=Authenticator(lambda: load_master_keys(settings)),
    ) as database:
        for first in range(0, count, _BATCH):
            numbers = range(first, min(first + _BATCH, count))
            async with database.transaction() as tx:
                await accept(tx, [_arrival(prepared, number) for number in numbers])


def _arrival(prepared: Prepared, number: int) -> Arrival:
    body = workflow_run(number)
    return Arrival(
        org_id=prepared.org_id,
        config_id=prepared.config_id,
        source="GITHUB",
        delivery_id=f"backlog-{number:08d}",
        event="workflow_run",
        headers={"content-type": "application/json"},
        body=body,
        body_sha256=sha256(body).digest(),
    )
