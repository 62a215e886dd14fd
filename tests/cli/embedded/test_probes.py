"""Readiness: what a server says to a start-up message or a PING, and what silence means."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.embedded.probes import postgres_answers, valkey_answers
from cli.embedded.servers import EmbeddedServers, ServerOptions


@pytest.fixture
def answering(home: Path) -> Iterator[Callable[[bytes], Path]]:
    """A socket whose listener reads once, says the given bytes and hangs up."""
    listeners: list[socket.socket] = []

    def answering(answer: bytes) -> Path:
        path = home / str(len(listeners))
        listener = socket.socket(socket.AF_UNIX)
        listeners.append(listener)
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return path

    yield answering
    for listener in listeners:
        listener.close()


STARTING = b"E\0\0\0\x3fSFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
FULL = b"E\0\0\0\x3fSFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"


@pytest.mark.parametrize(
    ("answer", "ready"),
    [(b"R\0\0\0\x08\0\0\0\0", True), (FULL, True), (STARTING, False), (b"", False), (b"HTTP/1.1 400\r\n", False)],
)
def test_postgres_is_ready_when_it_lets_a_client_in_or_is_full(answering, answer: bytes, *, ready: bool) -> None:
    assert postgres_answers(answering(answer)) is ready


@pytest.mark.parametrize(("answer", "ready"), [(b"+PONG\r\n", True), (b"-LOADING\r\n", False), (b"", False)])
def test_valkey_is_ready_when_it_answers_ping(answering, answer: bytes, *, ready: bool) -> None:
    assert valkey_answers(answering(answer)) is ready


def test_nobody_listening_is_not_ready(home: Path) -> None:
    (home / "file").touch()
    abandoned = home / "abandoned"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(abandoned))
    for path in (home / "absent", home / "file", abandoned, home / ("x" * 200)):
        assert not postgres_answers(path)
        assert not valkey_answers(path)


def test_a_real_server_that_is_full_counts_as_ready(data: Path) -> None:
    settings = {"max_connections": 4, "superuser_reserved_connections": 1, "autovacuum_worker_slots": 1}
    with EmbeddedServers(data, ServerOptions(durable=False, postgres_settings=settings)) as servers:
        path = servers._sockets / ".s.PGSQL.5432"
        assert postgres_answers(path)
        held = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        try:
            startup = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0"
            for connection in held:
                connection.connect(str(path))
                connection.sendall(startup)
                assert connection.recv(1) == b"R"
            assert postgres_answers(path)
        finally:
            for connection in held:
                connection.close()
