"""A pytest plugin: what the tests made the product ask of PostgreSQL is explained at the end, over many rows.

`pytest -p tests.plans.plugin`, as `make test-all` does. A plan that grows with the data fails the run: it is judged
before the first ANALYZE, when PostgreSQL guesses, and after it. Statements of subprocesses are not seen.
"""

import asyncio
from typing import Any

import asyncpg
import pytest

from cli.embedded.testing import clone_database, start_for_tests
from storage.migrations import migrate
from tests.plans.data import fill
from tests.plans.judging import judge
from tests.plans.recording import record

_seen: dict[str, str] = {}
_wrong: list[str] = []


def pytest_configure() -> None:
    record(_seen)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """In the controller: what a worker of xdist has seen."""
    _seen.update(getattr(node, "workeroutput", {}).get("statements", {}))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["statements"] = _seen
    elif _seen:
        servers = start_for_tests({"autovacuum": "off", "max_wal_size": "4GB"})
        try:
            _wrong.extend(asyncio.run(_examine(servers.admin_url)))
        finally:
            servers.stop()
        if _wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section("plans")
    for line in _wrong:
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"{len(_seen)} statements explained, {len(_wrong)} complaints")


async def _examine(admin_url: str) -> list[str]:
    url = await clone_database(admin_url, "template0", "plans")
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        large = await fill(connection)
        guessed = await judge(connection, _seen, large)
        await connection.execute("ANALYZE")
        return [*guessed, *await judge(connection, _seen, large)]
    finally:
        await connection.close()
