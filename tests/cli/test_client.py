"""The client of the API: what it repeats, what it refuses, and whom it tells the key."""

import json
import socket
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cli import client
from tests.cli.scripted import scripted

ID = str(UUID(int=7))
RECORDED: tuple[int, dict[str, str], Any] = (201, {}, {"snapshotIndex": 3, "artifacts": [{}]})
KEY = "tg_" + "5" * 64


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setenv(client.KEY_VARIABLE, f"{KEY}\n")


@pytest.fixture
def report(trailgate, tmp_path: Path):
    """Report one file to an address."""
    (tmp_path / "app").write_text("1")

    def report(url: str, *words: object) -> Any:
        return trailgate("snapshot", "paths", tmp_path / "app", "--environment", ID, "--url", url, *words)

    return report


def error(status: int, message: str, **fields: Any) -> tuple[int, dict[str, str], Any]:
    return status, {}, {"status": status, "error": "…", "message": message, **fields}


def free_address() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


@pytest.mark.parametrize(
    "failure",
    [
        error(429, "Too many requests"),
        (503, {"Retry-After": "0"}, b"busy"),
        (502, {}, b"<html>"),
        (504, {}, b""),
        (200, {}, None),
    ],
    ids=["429", "503", "502", "504", "closed"],
)
def test_what_may_pass_is_tried_again(report, failure: tuple[int, dict[str, str], Any]) -> None:
    with scripted(failure, failure, failure, RECORDED) as server:
        done = report(server.url)
    assert (done.status, done.out) == (0, f"Snapshot 3 of {ID}: 1 artifact.\n")
    assert len({body for *_, body in server.asked}) == 1
    assert done.err.count("Trying again in ") == 3


def test_it_is_tried_four_times_at_most(report) -> None:
    with scripted(error(503, "Not now")) as server:
        done = report(server.url)
    assert (done.status, done.out, len(server.asked)) == (2, "", 4)
    assert done.err.splitlines()[-1] == f"trailgate: {server.url} answered 503: Not now"


def test_a_wait_that_is_too_long_is_not_waited_for(report) -> None:
    with scripted((429, {"Retry-After": "3600"}, {"message": "Slow down"})) as server:
        done = report(server.url)
    assert (done.status, len(server.asked)) == (2, 1)
    assert "answered 429: Slow down" in done.err


def test_nobody_listens(report) -> None:
    address = free_address()
    done = report(address)
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"trailgate: {address} cannot be reached. Connecting to 127.0.0.1 failed."


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            error(400, "The body is invalid", details=[{"field": "artifacts.0.x", "message": "is bad"}]),
            "answered 400: The body is invalid; artifacts.0.x: is bad",
        ),
        (error(400, "x: is bad", details=[{"field": "x", "message": "is bad"}]), "answered 400: x: is bad"),
        (error(401, "No key"), "answered 401: No key. Set TRAILGATE_API_KEY to a key of the organisation."),
        (error(413, "Too many\x1b[31m"), "answered 413: Too many\\x1b[31m"),
        ((500, {}, b"\xff<html>"), "answered 500."),
        (error(500, "Quote the request id.", requestId="5f"), "answered 500: Quote the request id: 5f"),
        ((404, {}, [1]), "answered 404."),
        ((200, {}, b"<html>"), "does not answer in JSON: is it the address of Trailgate?"),
        ((201, {}, {"snapshotIndex": "three"}), "The answer is not one of Trailgate's API: is it the right address?"),
    ],
)
def test_a_refusal_is_said_once_in_one_line(report, answer: Any, message: str) -> None:
    with scripted(answer) as server:
        done = report(server.url)
    assert (done.status, done.out, len(server.asked)) == (2, "", 1)
    assert done.err.endswith(f"{message}\n")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(report, status: int) -> None:
    with scripted(RECORDED) as elsewhere, scripted((status, {"Location": f"{elsewhere.url}/x"}, b"")) as server:
        done = report(server.url)
    assert (done.status, elsewhere.asked) == (2, [])
    assert f"answered {status} and refers to {elsewhere.url}/x" in done.err


def test_the_key_is_sent_and_never_shown(report) -> None:
    with scripted(error(403, "Not allowed")) as server:
        done = report(server.url)
    assert server.asked[0][2]["X-Api-Key"] == KEY
    assert KEY not in done.err + done.out


def test_a_server_without_authentication_needs_no_key(report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(client.KEY_VARIABLE)
    with scripted(RECORDED) as server:
        assert report(server.url).status == 0
    assert "X-Api-Key" not in server.asked[0][2]


@pytest.mark.parametrize("key", ["a key", "größe", "a\nb"])
def test_what_cannot_be_a_key_is_not_sent(key: str, report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client.KEY_VARIABLE, key)
    with scripted(RECORDED) as server:
        done = report(server.url)
    assert (done.status, server.asked) == (2, [])
    assert "TRAILGATE_API_KEY is not a key" in done.err


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        "ftp://example.com",
        "http://",
        "http://[::1",
        "https://u:p@example.com",
        "http://a/?key=1",
        "//a",
    ],
)
def test_an_address_that_cannot_be_one(address: str, report) -> None:
    done = report(address)
    assert (done.status, done.out) == (2, "")
    assert "The address of the API (--url or TRAILGATE_URL)" in done.err


def test_the_address_is_the_servers_and_not_that_of_its_api(report) -> None:
    done = report("https://trailgate.example.com/api/v1/")
    assert (done.status, done.out) == (2, "")
    assert done.err == "trailgate: The address of the API (--url or TRAILGATE_URL) is given without /api/v1\n"


def test_the_address_may_have_a_path_and_come_from_the_environment(
    trailgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(RECORDED) as server:
        monkeypatch.setenv(client.URL_VARIABLE, f"{server.url}/trailgate/")
        done = trailgate("snapshot", "paths", tmp_path, "--environment", ID, "--only-changes")
    assert done.status == 0
    assert server.paths == [f"POST /trailgate/api/v1/environments/{ID}/snapshots?onlyChanges=true"]


def test_all_requests_together_are_bounded(report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_TOTAL", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = report(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert done.status == 2
    assert "did not answer within 0.3 seconds." in done.err


def test_an_environment_is_found_by_its_whole_name(trailgate, tmp_path: Path) -> None:
    """Also by a server that does not know the filter."""
    listed = [{"id": str(UUID(int=one)), "name": name} for one, name in enumerate(["prod-eu", "prod"])]
    with scripted((200, {}, listed), RECORDED) as server:
        done = trailgate("snapshot", "paths", tmp_path, "--environment", "prod", "--url", server.url)
    assert done.out == "Snapshot 3 of prod: 1 artifact.\n"
    assert server.paths == [
        "GET /api/v1/environments?name=prod",
        f"POST /api/v1/environments/{UUID(int=1)}/snapshots",
    ]


def test_another_reporter_may_create_the_environment_first(trailgate, tmp_path: Path) -> None:
    named = {"id": ID, "name": "prod"}
    with scripted((200, {}, []), error(409, "exists already"), (200, {}, [named]), RECORDED) as server:
        done = trailgate("snapshot", "paths", tmp_path, "-e", "prod", "--create", "--url", server.url)
    assert done.status == 0
    assert json.loads(server.asked[1][3]) == {"name": "prod", "type": "GENERIC"}
