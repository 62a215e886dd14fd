"""What every refusal must look like, and must not tell."""

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient

from tests.api.caller import Answer

LEAKS = ("Traceback", "asyncpg", "sqlalchemy", "pydantic", 'File "', "Error(", "SELECT ")


def assert_refused(answer: Answer, status: int, *fields: str) -> None:
    """The error object, whole, and nothing of our insides."""
    assert answer.status == status, answer.text[:500]
    assert not [leak for leak in LEAKS if leak in answer.text], answer.text
    body = answer.json
    assert body.keys() == {"status", "error", "message", "timestamp", "path", "requestId", "details", "limit"}
    assert body["status"] == status
    assert body["requestId"] == answer.headers["X-Request-Id"]
    assert body["message"]
    if fields:
        assert set(fields) <= set(answer.fields), answer.text


async def raw_request(http: TestClient[Any, Any], lines: list[bytes], body: bytes = b"") -> tuple[int, bytes]:
    """What no client library would send: these lines as they stand. The answer is its status and its own head."""
    reader, writer = await asyncio.open_connection(http.host, http.port)
    writer.write(b"\r\n".join([*lines, b"Host: t", b"Connection: close", b"", body]))
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        rest = b"" if b"413" in head[:16] else await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head.split(b" ", 2)[1]), head + rest
