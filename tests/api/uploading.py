"""Evidence as clients send and fetch it: forms byte by byte, and answers that are no text."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from storage.blobs.store import BlobStore
from tests.api.caller import V1, Answer, Caller

BOUNDARY = "frontier"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form_body(
    content: bytes, disposition: str = 'name="file"; filename="a.txt"', *, media: str = "", **fields: str
) -> bytes:
    """A form with the file as its first part. `disposition` stands on the wire as it is given."""
    head = f"Content-Disposition: form-data; {disposition}\r\n" + (f"Content-Type: {media}\r\n" if media else "")
    parts = [head.encode() + b"\r\n" + content]
    parts += [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()
    ]
    return b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"


@dataclass(frozen=True)
class Fetched:
    """An answer as bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(caller: Caller, path: str, method: str = "GET", **headers: str) -> Fetched:
    """Header names with `_` for `-`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    url, key = V1 + path, {"X-Api-Key": str(caller.key)}
    async with caller.client.request(method, url, headers={**key, **sent}) as response:
        return Fetched(response.status, response.headers.copy(), await response.read())


@dataclass(frozen=True)
class Attested:
    """An attestation to bring evidence for."""

    api: Caller
    trail_id: str
    id: str

    @classmethod
    async def made(cls, api: Caller, type_: str = "archive", **fields: Any) -> "Attested":
        trail = await api.make_trail((await api.make_flow())["id"])
        attestation = await api.attest(trail["id"], type_, **{"status": "PENDING", **fields})
        return cls(api, trail["id"], attestation["id"])

    @property
    def path(self) -> str:
        return f"/trails/{self.trail_id}/attestations/{self.id}/evidence"

    async def send(self, content: bytes, *args: Any, status: int = 201, headers: Any = None, **fields: Any) -> Answer:
        """As a form."""
        body = form_body(content, *args, **fields)
        return await self.api.post(self.path, data=BytesIO(body), headers={**FORM, **(headers or {})}, status=status)

    async def shown(self) -> Any:
        """The attestation as it is shown now."""
        [found] = (await self.api.get(f"/trails/{self.trail_id}/attestations")).json
        return found

    async def names(self) -> list[str]:
        """What its evidence is called."""
        return [one["fileName"] for one in (await self.api.get(self.path)).json]


def objects(store: BlobStore) -> set[str]:
    """The digests of everything in the store."""
    return {digest for number in range(256) for digest in store.objects(f"{number:02x}")}


def staged(store: BlobStore) -> list[str]:
    """What lies in staging."""
    return [path.name for path in store.staging.iterdir()]
