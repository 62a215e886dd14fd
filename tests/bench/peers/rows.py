"""The two rows that a peer's worker writes for each job, and the order of its commands. Pure but for `main`."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
import uvloop

SCHEMA = """
CREATE TABLE received (
    delivery_id text PRIMARY KEY, body_sha256 bytea NOT NULL, received_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE facts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, delivery_id text NOT NULL REFERENCES received,
    repository text NOT NULL, commit_sha text NOT NULL, name text NOT NULL, status text NOT NULL, url text NOT NULL,
    observed_at timestamptz NOT NULL
);
CREATE INDEX ON facts (commit_sha)
"""
"""The body itself is not kept, which spares a peer what Trailgate does."""

INSERT_RECEIVED = "INSERT INTO received (delivery_id, body_sha256) VALUES ($1, $2)"
INSERT_FACT = """
INSERT INTO facts (delivery_id, repository, commit_sha, name, status, url, observed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


class Fact(NamedTuple):
    """What a workflow run says, in the order of INSERT_FACT."""

    delivery_id: str
    repository: str
    commit_sha: str
    name: str
    status: str
    url: str
    observed_at: datetime


def digest(body: bytes) -> bytes:
    """Of the body, for its row."""
    return sha256(body).digest()


def read(delivery_id: str, body: bytes | str) -> Fact:
    """The fact in the body of a workflow run."""
    told: dict[str, Any] = orjson.loads(body)
    run = told["workflow_run"]
    return Fact(
        delivery_id,
        told["repository"]["full_name"],
        run["head_sha"],
        run["name"],
        run["conclusion"],
        run["html_url"],
        datetime.fromisoformat(run["updated_at"]),
    )


def main(commands: Mapping[str, Callable[..., Awaitable[None]]]) -> None:
    """`python -m tests.bench.peers.STACK COMMAND WORD…`."""
    uvloop.run(_run(commands[sys.argv[1]], sys.argv[2:]))


async def _run(command: Callable[..., Awaitable[None]], words: list[str]) -> None:
    await command(*words)
