"""Scans as pipelines record them."""

import json
from io import BytesIO
from typing import Any

from tests.api.caller import Answer, Caller
from tests.api.uploading import FORM, form_body
from tests.paths import FIXTURES


def report(folder: str, name: str) -> Any:
    """A scanner's report, parsed."""
    return json.loads(content(folder, name))


def content(folder: str, name: str) -> bytes:
    return (FIXTURES / folder / f"{name}.json").read_bytes()


async def new_trail(api: Caller, thresholds: Any = None, **flow: Any) -> str:
    """A trail of a flow of its own, with these thresholds if any."""
    made = await api.make_flow(**flow)
    if thresholds is not None:
        await api.post(f"/flows/{made['id']}/security-thresholds", thresholds)
    return str((await api.make_trail(made["id"]))["id"])


async def scan(api: Caller, trail_id: str, /, status: Any = 201, **fields: Any) -> Any:
    return (await api.post(f"/trails/{trail_id}/security-scans", {"tool": "trivy", **fields}, status)).json


async def send(api: Caller, trail_id: str, file: bytes, status: int = 201, **fields: str) -> Answer:
    """As a form."""
    body = form_body(file, 'name="file"; filename="report.json"', media="application/json", **fields)
    return await api.post(f"/trails/{trail_id}/security-scans", data=BytesIO(body), headers=FORM, status=status)


async def attestations(api: Caller, trail_id: str) -> list[tuple[str, str | None, str]]:
    """Type, name and status of all of a trail's."""
    found = (await api.get(f"/trails/{trail_id}/attestations")).json
    return [(one["type"], one["name"], one["status"]) for one in found]


async def scans(api: Caller, trail_id: str) -> Any:
    return (await api.get(f"/trails/{trail_id}/security-scans")).json
