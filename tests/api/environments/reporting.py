"""What tests of environments report."""

from typing import Any
from uuid import uuid4

from tests.api.caller import Caller

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def line(name: str, digest: str, tag: str | None = "1", count: int = 1) -> dict[str, Any]:
    return {"artifactName": name, "artifactSha256": digest, "artifactTag": tag, "instanceCount": count}


async def make_environment(api: Caller, **fields: Any) -> str:
    """Make an environment in which everything counts, and return its id."""
    made = await api.post("/environments", {"name": f"environment-{uuid4().hex[:8]}", **fields})
    return str(made.json["id"])


async def make_logical(api: Caller, *members: str, **fields: Any) -> str:
    """Make a logical environment of these members, and return its id."""
    body = {"name": f"logical-{uuid4().hex[:8]}", "memberIds": list(members), **fields}
    return str((await api.post("/logical-environments", body)).json["id"])


async def report(api: Caller, environment: str, *lines: dict[str, Any], status: int = 201, **fields: Any) -> Any:
    body = {"artifacts": list(lines), **fields}
    return (await api.post(f"/environments/{environment}/snapshots", body, status)).json


def without_states(snapshot: Any) -> Any:
    """A snapshot as its report was answered: without what is known of its artifacts now."""
    artifacts = [
        {key: value for key, value in one.items() if key != "complianceState"} for one in snapshot["artifacts"]
    ]
    return {**snapshot, "artifacts": artifacts}


async def events(api: Caller, *names: str) -> list[dict[str, Any]]:
    """The audit events of these names, oldest first."""
    found = (await api.get("/audit?size=100")).json["events"]
    return [event for event in reversed(found) if event["eventType"] in names]
