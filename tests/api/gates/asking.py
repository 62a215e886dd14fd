"""What tests of the gate make and ask."""

from typing import Any
from uuid import uuid4

from tests.api.caller import Caller, unique


def a_digest() -> str:
    return f"sha256:{uuid4().hex * 2}"


async def released(api: Caller, flow: Any = None, digest: str | None = None, **fields: Any) -> Any:
    """An artifact that was reported on a new trail of a flow."""
    flow = flow or await api.make_flow()
    trail = await api.make_trail(flow["id"])
    artifact = await api.report_artifact(trail["id"], digest or a_digest(), **fields)
    return {"flow": flow["id"], "trail": trail["id"], "digest": artifact["sha256Digest"], "id": artifact["id"]}


async def ask(api: Caller, digest: str, status: int = 200, *, dry_run: bool = False, **fields: Any) -> Any:
    path = "/gate/evaluate" + ("?dryRun=true" if dry_run else "")
    return (await api.post(path, {"artifactSha256": digest, **fields}, status)).json


async def make_policy(api: Caller, **fields: Any) -> Any:
    return (await api.post("/policies", {"name": unique("policy"), **fields})).json


async def deployment_policy(api: Caller, flow: str, **fields: Any) -> Any:
    return (await api.post("/deployment-policies", {"name": unique("policy"), "flowId": flow, **fields})).json


async def attached(api: Caller, environment: str, **fields: Any) -> Any:
    """A policy that is attached to an environment."""
    policy = await make_policy(api, **fields)
    await api.post("/policy-attachments", {"policyId": policy["id"], "environmentId": environment})
    return policy


def codes(answer: Any) -> list[str]:
    return [block["code"] for block in answer["blocks"]]
