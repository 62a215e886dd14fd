"""Does a server behind a Unix socket answer yet? Asked in the servers' own first words, without a client library."""

import socket
import struct
from pathlib import Path

_TIMEOUT = 5.0  # seconds for one question
_PROTOCOL_3_0 = 196608
_TOO_MANY_CONNECTIONS = b"C53300\0"


def postgres_answers(path: Path) -> bool:
    """Whether PostgreSQL lets a client in, or serves so many that it cannot (SQLSTATE 53300).

    A server that is still recovering refuses the start-up message with another error. Source: PostgreSQL manual,
    "Message Formats" (StartupMessage, AuthenticationOk, ErrorResponse).
    """
    parameters = b"user\0postgres\0database\0postgres\0\0"
    startup = struct.pack("!II", 8 + len(parameters), _PROTOCOL_3_0) + parameters
    answer = _ask(path, startup)
    return answer.startswith(b"R") or (answer.startswith(b"E") and _TOO_MANY_CONNECTIONS in answer)


def valkey_answers(path: Path) -> bool:
    """Whether Valkey answers PING."""
    return _ask(path, b"PING\r\n").startswith(b"+PONG")


def _ask(path: Path, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(question)
            return connection.recv(4096)
        except OSError:
            return b""
