"""What waits to be sent, what was given up, where it goes, and its second life."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.notifications.deliveries import OPEN_AFTER
from domain.retries import ErrorClass
from storage.schedule.wakeups import QUEUE
from storage.services import Services
from tests.storage.outbox.letters import destination, hasten, post, settled, take
from tests.storage.world import World


@dataclass
class Letters:
    """Of three destinations: two with dead letters, of which the second is disabled, and one that keeps failing."""

    refusing: UUID
    disabled: UUID
    failing: UUID
    refused: list[UUID] = field(default_factory=list)
    given_up: list[UUID] = field(default_factory=list)
    waiting: list[UUID] = field(default_factory=list)

    @property
    def dead(self) -> list[UUID]:
        return self.refused + self.given_up


@pytest.fixture
def letters(started: None, arrange) -> Letters:
    """Redis is empty."""

    async def fill(services: Services) -> Letters:
        world = await World.founded(services)
        refusing, disabled, failing = [await destination(world, f"https://{name}.example") for name in ("a", "b", "c")]
        made = Letters(refusing, disabled, failing)
        made.refused = await post(world, made.refusing, "t1", "t2")
        await settled(services, await take(services), ErrorClass.PERMANENT)
        made.given_up = await post(world, made.disabled, "t1")
        await settled(services, await take(services), ErrorClass.PERMANENT, gone=True)
        made.waiting = await post(world, made.failing, "t1")
        for _ in range(OPEN_AFTER):
            await hasten(world)
            await settled(services, await take(services), ErrorClass.TRANSIENT, wait=timedelta(minutes=5))
        async with services.database.transaction() as tx:
            await tx.execute("UPDATE messages SET error = E'\\x1b[2J\\x1b]0;owned\\x07' WHERE id = $1", made.refused[0])
        await services.redis.flushdb()
        return made

    return arrange(fill)


@pytest.fixture
def state(arrange):
    """The status of each message, and how many wake-ups lie in Redis."""

    def state(ids: list[UUID]) -> tuple[list[str], int]:
        async def look(services: Services) -> tuple[list[str], int]:
            async with services.database.read() as reader:
                rows = await reader.rows("SELECT id, status FROM messages")
            by_id = {row["id"]: row["status"] for row in rows}
            return [by_id[one] for one in ids], await services.redis.zcard(QUEUE)

        return arrange(look)

    return state


def rows_of(out: str) -> list[dict[str, str]]:
    heading, *rows = (line.split("\t") for line in out.splitlines())
    return [dict(zip(heading, row, strict=True)) for row in rows]


def test_what_waits_is_listed_with_its_next_attempt(letters: Letters, trailgate) -> None:
    seen = trailgate("outbox", "list")
    assert (seen.status, seen.err) == (0, "1 shown\n")
    [row] = rows_of(seen.out)
    assert row["ID"] == str(letters.waiting[0])
    assert (row["CHANNEL"], row["EVENT"], row["ATTEMPTS"]) == ("WEBHOOK", "ATTESTATION_FAILED", str(OPEN_AFTER))
    assert (row["DESTINATION"], row["ERROR"]) == (str(letters.failing), "HTTP 500")
    assert row["NEXT"].startswith("20")
    assert row["RAISED"] < row["NEXT"]


def test_dead_letters_are_listed_and_cannot_command_the_terminal(letters: Letters, trailgate) -> None:
    seen = trailgate("outbox", "dead")
    assert (seen.status, seen.err) == (0, "3 shown\n")
    assert [row["ID"] for row in rows_of(seen.out)] == [str(one) for one in letters.dead]
    assert "\\x1b[2J\\x1b]0;owned\\x07" in seen.out
    assert all(character.isprintable() or character in "\n\t" for character in seen.out)
    assert len(rows_of(trailgate("outbox", "dead", "--limit", 2).out)) == 2


def test_destinations_are_listed_the_worst_first(letters: Letters, trailgate) -> None:
    seen = trailgate("outbox", "destinations")
    assert seen.status == 0
    rows = rows_of(seen.out)
    found = [(row["ID"], row["FAILURES"], row["DISABLED"]) for row in rows]
    assert found == [
        (str(letters.disabled), "1", "HTTP 500"),
        (str(letters.failing), str(OPEN_AFTER), ""),
        (str(letters.refusing), "2", ""),
    ]
    assert rows[1]["PAUSED UNTIL"].startswith("20")
    assert rows[1]["ADDRESS"] == "https://example.org/…"


def test_an_empty_outbox_says_so(started: None, trailgate) -> None:
    for words in ("list", "dead"):
        seen = trailgate("outbox", words)
        assert (seen.status, seen.err) == (0, "0 shown\n")
    assert trailgate("outbox", "destinations").status == 0


def test_named_dead_letters_are_queued_again_and_the_worker_is_rung(letters: Letters, trailgate, state) -> None:
    seen = trailgate("outbox", "replay", letters.refused[0])
    assert (seen.status, seen.out, seen.err) == (0, "1 queued again\n", "")
    assert state(letters.dead) == (["PENDING", "FAILED", "FAILED"], 1)
    assert rows_of(trailgate("outbox", "list").out)[0]["ID"] == str(letters.refused[0])  # due at once


def test_those_of_a_destination_are_queued_again(letters: Letters, trailgate, state) -> None:
    seen = trailgate("outbox", "replay", "--destination", letters.refusing)
    assert (seen.status, seen.out) == (0, "2 queued again\n")
    assert state(letters.dead)[0] == ["PENDING", "PENDING", "FAILED"]


def test_all_of_them_but_those_of_disabled_destinations(letters: Letters, trailgate, state) -> None:
    assert trailgate("outbox", "replay", "--all").out == "2 queued again\n"
    assert state(letters.dead) == (["PENDING", "PENDING", "FAILED"], 1)
    again = trailgate("outbox", "replay", "--all")
    assert (again.status, again.out) == (0, "0 queued again\n")


def test_what_cannot_be_queued_is_refused_with_the_way_out(letters: Letters, trailgate, state) -> None:
    for words in (
        (letters.given_up[0],),
        (letters.waiting[0],),
        (uuid4(),),
        ("--destination", letters.disabled),
        ("--destination", letters.failing),
        ("--destination", uuid4()),
    ):
        refused = trailgate("outbox", "replay", *words)
        assert (refused.status, refused.out) == (2, "")
        assert "trailgate outbox dead" in refused.err
        assert "trailgate outbox destinations" in refused.err
    assert state(letters.dead) == (["FAILED"] * 3, 0)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--all", UUID(int=1)],
        ["--all", "--destination", UUID(int=1)],
        ["--destination", UUID(int=1), UUID(int=2)],
        ["nonsense"],
        ["--destination", "nonsense"],
    ],
)
def test_replay_wants_ids_or_a_destination_or_all(letters: Letters, trailgate, state, words: list[object]) -> None:
    assert trailgate("outbox", "replay", *words).status == 2
    assert state(letters.dead)[0] == ["FAILED"] * 3


@pytest.mark.parametrize("command", ["list", "dead", "destinations"])
@pytest.mark.parametrize("limit", ["0", "-1", "many", "100001"])
def test_bad_limits(started: None, trailgate, command: str, limit: str) -> None:
    assert trailgate("outbox", command, "--limit", limit).status == 2


@pytest.mark.parametrize("url", ["unix:///nowhere/valkey.sock?db=0", "gopher://x", None])
def test_without_redis_the_letters_are_queued_and_the_sweep_is_announced(
    letters: Letters, trailgate, state, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url:
        monkeypatch.setenv("TRAILGATE_REDIS_URL", url)
    else:
        monkeypatch.delenv("TRAILGATE_REDIS_URL")
    seen = trailgate("outbox", "replay", "--all")
    assert (seen.status, seen.out) == (0, "2 queued again\n")
    assert "every 5 seconds" in seen.err
    assert state(letters.refused)[0] == ["PENDING"] * 2
