"""What waits, what is dead, and its second life."""

from uuid import UUID, uuid4

import pytest

from storage.schedule.wakeups import QUEUE
from storage.services import Services
from tests.storage.world import World
from workers.drain import drain_batch

_BURY = """
WITH dead AS (
  UPDATE deliveries SET status = 'FAILED', status_message = 'It could not be processed',
                        error = E'Traceback\n  ValueError: \x1b[2J\x1b]0;owned\x07'
  WHERE id = ANY($1::uuid[]) RETURNING id
)
DELETE FROM inbox WHERE delivery_id IN (SELECT id FROM dead)
"""


@pytest.fixture
def receipts(started: None, arrange) -> list[UUID]:
    """Four deliveries: three dead, the last one waits. Redis is empty."""

    async def fill(services: Services) -> list[UUID]:
        world = await World.founded(services)
        config = await world.config(await world.flow())
        arrivals = [world.arrival(config, name) for name in ("d1", "d2", "d3\x1b[31m", "d4")]
        receipts = [receipt.id for receipt in await world.deliver(*arrivals)]
        async with services.database.transaction() as tx:
            await tx.execute(_BURY, receipts[:3])
        return receipts

    async def silence(services: Services) -> None:
        await services.redis.flushdb()

    receipts: list[UUID] = arrange(fill)
    arrange(silence)  # the deliveries rang
    return receipts


@pytest.fixture
def state(arrange):
    """Statuses in the order of the receipts, and how many wake-ups lie in Redis."""

    def state(receipts: list[UUID]) -> tuple[list[str], int]:
        async def look(services: Services) -> tuple[list[str], int]:
            async with services.database.read() as reader:
                rows = await reader.rows("SELECT id, status FROM deliveries")
            by_id = {row["id"]: row["status"] for row in rows}
            return [by_id[receipt] for receipt in receipts], await services.redis.zcard(QUEUE)

        return arrange(look)

    return state


def test_what_waits_is_listed(receipts, trailgate) -> None:
    seen = trailgate("inbox", "list")
    assert seen.status == 0
    heading, row = (line.split("\t") for line in seen.out.splitlines())
    assert dict(zip(heading, row, strict=True))["RECEIPT"] == str(receipts[3])
    assert seen.err.startswith("1 waiting, the oldest due since 20")


def test_an_empty_inbox_says_so(started, trailgate) -> None:
    seen = trailgate("inbox", "list")
    assert (seen.status, seen.err) == (0, "0 waiting\n")


def test_dead_letters_are_listed_and_cannot_command_the_terminal(receipts, trailgate) -> None:
    seen = trailgate("inbox", "dead", "--verbose")
    assert seen.status == 0
    assert [line.partition("\t")[0] for line in seen.out.splitlines()[1:4]] == [str(r) for r in receipts[:3]]
    assert "d3\\x1b[31m" in seen.out
    assert "  Traceback\n    ValueError: \\x1b[2J\\x1b]0;owned\\x07\n" in seen.out
    assert all(character.isprintable() or character in "\n\t" for character in seen.out)
    assert "ValueError" not in trailgate("inbox", "dead").out
    assert len(trailgate("inbox", "dead", "--limit", 2).out.splitlines()) == 3


def test_a_dead_letter_without_a_trace_shows_its_message(receipts, trailgate, arrange) -> None:
    async def refuse(services: Services) -> None:
        async with services.database.transaction() as tx:
            await tx.execute("UPDATE deliveries SET error = NULL, status_message = 'eventType: missing'")

    arrange(refuse)
    shown = trailgate("inbox", "dead", "--verbose").out
    assert shown.count("\n  no trace was stored; the message is: eventType: missing\n") == 3


def test_named_dead_letters_are_queued_again_and_the_worker_is_rung(receipts, trailgate, state, arrange) -> None:
    seen = trailgate("inbox", "replay", receipts[0], receipts[1])
    assert (seen.status, seen.out, seen.err) == (0, "2 queued again\n", "")
    assert state(receipts) == (["PENDING", "PENDING", "FAILED", "PENDING"], 1)
    arrange(drain_batch)
    assert state(receipts)[0] == ["SUCCESS", "SUCCESS", "FAILED", "SUCCESS"]


def test_all_of_them(receipts, trailgate, state) -> None:
    assert trailgate("inbox", "replay", "--all").out == "3 queued again\n"
    assert state(receipts)[0] == ["PENDING"] * 4
    assert trailgate("inbox", "replay", "--all").out == "0 queued again\n"


def test_receipts_that_are_no_dead_letters_are_told(receipts, trailgate, state) -> None:
    partly = trailgate("inbox", "replay", receipts[0], receipts[0], receipts[3], uuid4())
    assert (partly.status, partly.out) == (0, "1 queued again\n")
    assert partly.err == "2 of the receipts are not dead letters.\n"
    none = trailgate("inbox", "replay", receipts[3])
    assert (none.status, "inbox dead" in none.err) == (2, True)


@pytest.mark.parametrize("words", [[], ["--all", str(UUID(int=1))], ["nonsense"], ["--limit", "3"]])
def test_replay_wants_receipts_or_all(started, trailgate, words: list[str]) -> None:
    assert trailgate("inbox", "replay", *words).status == 2


@pytest.mark.parametrize("limit", ["0", "-1", "many", "100001"])
def test_bad_limits(started, trailgate, limit: str) -> None:
    assert trailgate("inbox", "list", "--limit", limit).status == 2


@pytest.mark.parametrize("url", ["unix:///nowhere/valkey.sock?db=0", "gopher://x", None])
def test_without_redis_the_letters_are_queued_and_the_sweep_is_announced(
    receipts, trailgate, state, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url:
        monkeypatch.setenv("TRAILGATE_REDIS_URL", url)
    else:
        monkeypatch.delenv("TRAILGATE_REDIS_URL")
    seen = trailgate("inbox", "replay", "--all")
    assert (seen.status, seen.out) == (0, "3 queued again\n")
    assert "every 5 seconds" in seen.err
    assert state(receipts)[0] == ["PENDING"] * 4
