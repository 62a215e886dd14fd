"""Plays raw requests over many connections, in a process of its own, and prints what it saw as JSON.

`python -m tests.journeys.player PORT CONNECTIONS SECONDS PAUSE FILE`. The file holds the requests as `pack` writes
them; each connection plays all of them again and again, with a pause in seconds after each answer.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop


@dataclass
class Played:
    """How many answers of each status there were (0: none), and the seconds that each success took."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def pack(requests: Sequence[bytes]) -> bytes:
    """The requests as a file."""
    return b"".join(b"%d\n%b" % (len(request), request) for request in requests)


def unpack(content: bytes) -> list[bytes]:
    """The requests of a file."""
    requests = []
    while content:
        length, _, rest = content.partition(b"\n")
        requests.append(rest[: int(length)])
        content = rest[int(length) :]
    return requests


async def play(port: int, connections: int, seconds: float, pause: float, requests: Sequence[bytes]) -> Played:
    """Send until the time is over; what is open then is not counted."""
    played = Played()
    players = [
        asyncio.create_task(_connect(port, [*requests[number % len(requests) :], *requests], pause, played))
        for number in range(connections)
    ]
    await asyncio.wait(players, timeout=seconds)
    for player in players:
        player.cancel()
    await asyncio.gather(*players, return_exceptions=True)
    return played


async def _connect(port: int, requests: Sequence[bytes], pause: float, played: Played) -> None:
    """Play on one connection after the other."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                await _play_once(reader, writer, requests, pause, played)
        except (OSError, EOFError):
            played.statuses[0] += 1


async def _play_once(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: Sequence[bytes],
    pause: float,
    played: Played,
) -> None:
    for request in requests:
        began = time.perf_counter()
        writer.write(request)
        status = await _answer(reader)
        played.statuses[status] += 1
        if status < 300:
            played.seconds.append(time.perf_counter() - began)
        await asyncio.sleep(pause)


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end; that of an event stream does not come."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, length = head.partition(b"\r\ncontent-length: ")
    await (reader.readexactly(int(length.partition(b"\r\n")[0])) if found else reader.read(-1))
    return int(head[9:12])


def main(words: Sequence[str]) -> None:
    port, connections, seconds, pause, file = words
    requests = unpack(Path(file).read_bytes())
    played = uvloop.run(play(int(port), int(connections), float(seconds), float(pause), requests))
    json.dump({"statuses": played.statuses, "seconds": played.seconds}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
