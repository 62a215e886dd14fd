"""People who request and decide, each with a key of their own."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from api.http.calls import SERVICES
from domain.identity.api_keys import NewApiKey
from domain.identity.permissions import PrincipalKind
from domain.identity.principals import NewPrincipal
from storage.identity.commands.api_keys import create_api_key
from storage.identity.commands.principals import create_principal
from tests.api.caller import NOBODY, Answer, Caller


@dataclass(frozen=True)
class Somebody:
    """A principal, with whatever names it."""

    id: UUID
    email: str
    name: str
    caller: Caller

    async def approve(self, approval: str, status: int = 200, **fields: Any) -> Any:
        return await self._decide(approval, "approve", status, fields)

    async def reject(self, approval: str, status: int = 200, **fields: Any) -> Any:
        return await self._decide(approval, "reject", status, fields)

    async def break_glass(self, approval: str, status: int = 200, **fields: Any) -> Any:
        return await self._decide(approval, "break-glass", status, {"reason": "incident 4711", **fields})

    async def _decide(self, approval: str, how: str, status: int, fields: dict[str, Any]) -> Any:
        return (await self.caller.post(f"/approvals/{approval}/{how}", fields, status)).json

    async def mine(self) -> list[str]:
        """The ids of what waits for them."""
        return [one["id"] for one in (await self.caller.get("/approvals?mine=true")).json]


async def somebody(api: Caller, role: str = "member", *, kind: PrincipalKind = "user", **names: Any) -> Somebody:
    """One more member, with an address of their own."""
    email = f"{uuid4().hex[:12]}@example.com"
    new = NewPrincipal(kind, email, role, **{"name": email.partition("@")[0], "email": email, **names})
    async with api.client.app[SERVICES].database.transaction() as tx:
        principal_id = await create_principal(tx, api.tenant, new, NOBODY)
        _, key = await create_api_key(tx, api.tenant, NewApiKey(principal_id, "test"), NOBODY)
    return Somebody(principal_id, email, str(new.name), replace(api, key=key))


async def request(api: Caller, trail: str, status: int = 201, **fields: Any) -> Any:
    """An approval of a trail, requested by the caller."""
    return (await api.post(f"/trails/{trail}/approvals", fields, status)).json


async def requested(api: Caller, trail: str, **fields: Any) -> str:
    """The id of another one."""
    return str((await request(api, trail, **fields))["id"])


async def shown(api: Caller, approval: str) -> Any:
    return (await api.get(f"/approvals/{approval}")).json


async def trail_of(api: Caller, **flow: Any) -> str:
    """A trail of a new flow, on which everything passed that the flow requires."""
    made = await api.make_flow(**{"requiresApproval": True, "requiredAttestations": ["BUILD"], **flow})
    trail = str((await api.make_trail(made["id"]))["id"])
    await api.attest(trail)
    return trail


def refused(answer: Answer) -> tuple[int, list[str]]:
    return answer.status, answer.fields
