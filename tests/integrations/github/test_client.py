"""GitHub's delivery API over real HTTP: pages, cursors, wishes for redelivery, and every way it can say no."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from domain.errors import Rejected, Throttled, Upstream
from integrations.github.client import MAX_PAGES, PAGE_SIZE, HookDeliveries
from storage.outbound import open_outbound
from storage.settings import Settings
from tests.workers.fake_github import HOOK, TOKEN, FakeGitHub, Trouble, fake_github

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RESET = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 90)}


@pytest.fixture
async def github() -> AsyncIterator[FakeGitHub]:
    async with fake_github() as fake:
        yield fake


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    settings = Settings(data_dir=tmp_path, outbound_allow="127.0.0.0/8", outbound_timeout=1)
    async with open_outbound(settings) as opened:
        yield opened


def hook_of(session: aiohttp.ClientSession, github: FakeGitHub, token: str = TOKEN) -> HookDeliveries:
    return HookDeliveries(session, github.hook_url, token, lambda: NOW)


async def test_attempts_come_newest_first_with_what_is_needed_of_them(
    session: aiohttp.ClientSession, github: FakeGitHub
) -> None:
    older = github.attempt(age=timedelta(hours=2), event="ping", status=202)
    newer = github.attempt(age=timedelta(hours=1))
    history = await hook_of(session, github).since(LONG_AGO)
    assert history.whole
    assert [(one.guid, one.event) for one in history.attempts] == [(newer, "push"), (older, "ping")]
    assert [one.id for one in history.attempts] == [github.attempts[1].id, github.attempts[0].id]
    assert abs(history.attempts[0].delivered_at - github.attempts[1].delivered_at) < timedelta(milliseconds=1)


async def test_nothing_was_delivered_yet(session: aiohttp.ClientSession, github: FakeGitHub) -> None:
    history = await hook_of(session, github).since(LONG_AGO)
    assert (history.attempts, history.whole) == ([], True)


async def test_pages_are_read_to_the_end(session: aiohttp.ClientSession, github: FakeGitHub) -> None:
    guids = [github.attempt(age=timedelta(seconds=n)) for n in range(2 * PAGE_SIZE + 1)]
    history = await hook_of(session, github).since(LONG_AGO)
    assert [one.guid for one in history.attempts] == guids
    assert (history.whole, github.pages) == (True, 3)


async def test_no_page_is_read_beyond_the_time_asked_for(session: aiohttp.ClientSession, github: FakeGitHub) -> None:
    guids = [github.attempt(age=timedelta(minutes=n)) for n in range(5 * PAGE_SIZE)]
    history = await hook_of(session, github).since(datetime.now(UTC) - timedelta(minutes=149.5))
    assert [one.guid for one in history.attempts] == guids[:150]
    assert (history.whole, github.pages) == (True, 2)


async def test_pages_have_an_end(session: aiohttp.ClientSession, github: FakeGitHub) -> None:
    for n in range(MAX_PAGES * PAGE_SIZE + 1):
        github.attempt(age=timedelta(seconds=n))
    history = await hook_of(session, github).since(LONG_AGO)
    assert (len(history.attempts), history.whole, github.pages) == (MAX_PAGES * PAGE_SIZE, False, MAX_PAGES)


async def test_a_link_that_leads_away_gets_nothing_but_its_cursor_read(
    session: aiohttp.ClientSession, github: FakeGitHub
) -> None:
    """The token must not follow a link: `github.wrong` would tell of a request to any other address."""
    guid = github.attempt()
    link = {"Link": f'<{github.base}/somewhere/else?cursor=v1_0>; rel="next"'}
    github.troubles = [Trouble(headers=link, body=b"[]")]
    history = await hook_of(session, github).since(LONG_AGO)
    assert [one.guid for one in history.attempts] == [guid]


async def test_a_redelivery_is_asked_for_by_the_attempts_number(
    session: aiohttp.ClientSession, github: FakeGitHub
) -> None:
    guid = github.attempt()
    await hook_of(session, github).redeliver(github.attempts[0].id)
    assert github.redelivered == [guid]


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_delivery_that_github_makes_no_more_is_passed_over(
    session: aiohttp.ClientSession, github: FakeGitHub, status: int
) -> None:
    github.troubles = [Trouble(status, body=b'{"message": "m", "errors": [{"code": "custom", "message": "too old"}]}')]
    await hook_of(session, github).redeliver(1)
    assert (github.troubles, github.redelivered) == ([], [])


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_other_refusals_of_a_redelivery_are_raised(
    session: aiohttp.ClientSession, github: FakeGitHub, status: int
) -> None:
    github.troubles = [Trouble(status)]
    with pytest.raises((Upstream, Throttled), match=str(status)):
        await hook_of(session, github).redeliver(1)


async def test_a_wrong_token_is_told_without_it(session: aiohttp.ClientSession, github: FakeGitHub) -> None:
    with pytest.raises(Upstream) as refused:
        await hook_of(session, github, "ghx-wrong").since(LONG_AGO)
    assert "token" in refused.value.message
    assert "401" in refused.value.message
    assert "ghx-wrong" not in refused.value.message


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (Trouble(403), "403"),
        (Trouble(403, {"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": "99999999999"}), "403"),
        (Trouble(404), "hook does not exist"),
        (Trouble(500), "500"),
        (Trouble(502, body=b"<html>bad gateway</html>", content_type="text/html"), "502"),
        (Trouble(503), "503"),
        (Trouble(301, {"Location": "http://127.0.0.1:1/secret"}), "moved"),
        (Trouble(307, {"Location": "/somewhere"}), "moved"),
        (Trouble(418), "418"),
        (Trouble(599), "not what its API describes"),
        (Trouble(body=b"{"), "not what its API describes"),
        (Trouble(body=b""), "not what its API describes"),
        (Trouble(body=b"[]", content_type="text/html"), "not what its API describes"),
        (Trouble(body=b'{"id": 1}'), "not what its API describes"),
        (Trouble(body=b"[" * 100_000), "not what its API describes"),
        (Trouble(body=b"\xff\xfe"), "not what its API describes"),
        (Trouble(422, body=b'{"errors": []}'), "422|not what its API describes"),
        (
            Trouble(headers={"X-RateLimit-Limit": "x", "X-RateLimit-Remaining": "y", "X-RateLimit-Reset": "z"}),
            "not what",
        ),
        (Trouble(hangs=True), "could not be reached"),
    ],
)
async def test_whatever_github_says_becomes_words(
    session: aiohttp.ClientSession, github: FakeGitHub, trouble: Trouble, told: str
) -> None:
    github.troubles = [trouble]
    with pytest.raises(Upstream, match=told) as failed:
        await hook_of(session, github).since(LONG_AGO)
    assert not [leak for leak in (TOKEN, "html", "message", "127.0.0.1") if leak in failed.value.message]


FOREIGN = {
    "id": 1,
    "guid": "0b989ba4-242f-11e5-81e1-c7b6966d2516",
    "event": "push",
    "delivered_at": "2026-03-01T11:59:59.123Z",
}


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "1"},
        {"id": -1},
        {"id": 2**63},
        {"guid": "a\x00b"},
        {"guid": ""},
        {"guid": "x" * 256},
        {"guid": None},
        {"event": "a\x00b"},
        {"delivered_at": "yesterday"},
        {"delivered_at": "2026-03-01T11:59:59"},
        {"delivered_at": None},
        {"delivered_at": 10**30},
    ],
)
async def test_a_list_of_something_else_is_refused(
    session: aiohttp.ClientSession, github: FakeGitHub, changed: dict[str, object]
) -> None:
    github.troubles = [Trouble(body=json.dumps([FOREIGN]).encode())]
    assert len((await hook_of(session, github).since(LONG_AGO)).attempts) == 1
    github.troubles = [Trouble(body=json.dumps([FOREIGN | changed]).encode())]
    with pytest.raises(Upstream, match="not what its API describes"):
        await hook_of(session, github).since(LONG_AGO)


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    [
        (Trouble(429), 60),
        (Trouble(429, {"Retry-After": "7"}), 7),
        (Trouble(429, {"Retry-After": "0"}), 0),
        (Trouble(403, {"Retry-After": "120"}), 120),
        (Trouble(503, {"Retry-After": "30"}), 30),
        (Trouble(403, RESET), 90),
        (Trouble(429, RESET), 90),
        (Trouble(403, RESET | {"Retry-After": "5"}), 5),
        (Trouble(403, RESET | {"X-RateLimit-Reset": "1"}), 0),
        (Trouble(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), 60),
        (Trouble(429, {"Retry-After": "9" * 30}), 60),
        (Trouble(429, {"Retry-After": "-5"}), 60),
    ],
)
async def test_how_long_github_wants_us_to_wait(
    session: aiohttp.ClientSession, github: FakeGitHub, trouble: Trouble, seconds: int
) -> None:
    github.troubles = [trouble]
    with pytest.raises(Throttled, match=str(trouble.status)) as throttled:
        await hook_of(session, github).since(LONG_AGO)
    assert throttled.value.retry_after == seconds


async def test_nobody_listens(session: aiohttp.ClientSession) -> None:
    hook = HookDeliveries(session, f"http://127.0.0.1:1{HOOK}", TOKEN, lambda: NOW)
    with pytest.raises(Upstream, match="could not be reached"):
        await hook.since(LONG_AGO)


async def test_an_address_in_our_own_network_is_not_asked(tmp_path: Path, github: FakeGitHub) -> None:
    async with open_outbound(Settings(data_dir=tmp_path)) as guarded:
        with pytest.raises(Rejected, match="may not be reached"):
            await hook_of(guarded, github).since(LONG_AGO)
    assert github.pages == 0
