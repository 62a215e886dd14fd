"""The judge of plans finds what it is there for: against a table of 20,000 rows with one index."""

import asyncpg
import pytest

from tests.conftest import Installation
from tests.plans.judging import judge

pytestmark = pytest.mark.asyncio

_TABLE = """
CREATE TABLE many AS SELECT n AS id, n % 20000 AS parent, 'x' || n AS name FROM generate_series(1, 200000) n;
CREATE INDEX ON many (parent, id);
CREATE INDEX ON many (id);
ANALYZE many
"""


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT * FROM many WHERE name = $1", "reads all of many"),
        ("SELECT * FROM many WHERE name = $1 ORDER BY id DESC LIMIT 1", "reads all of many"),
        ("SELECT count(*) FROM many", "reads all of many"),
        ("SELECT * FROM many WHERE parent < $1 AND name = $2 ORDER BY id LIMIT 1", "many"),
        ("SELECT * FROM many WHERE parent = $1", None),
        ("SELECT * FROM many WHERE parent = $1 AND name = $2", None),
        ("SELECT * FROM many ORDER BY id LIMIT 10", None),
        ("SELECT * FROM a_partition_of_some_test", None),
        ("SET LOCAL lock_timeout = '1s'", None),
    ],
)
async def test_statements(own_installation: Installation, sql: str, word: str | None) -> None:
    connection = await asyncpg.connect(own_installation.database_url)
    try:
        await connection.execute(_TABLE)
        found = await judge(connection, {sql: "storage.some"}, {"many"})
        assert await judge(connection, {sql: "storage.facts.rebuild"}, {"many"}) == []
    finally:
        await connection.close()
    assert (word is None and not found) or (word is not None and found and word in found[0])
