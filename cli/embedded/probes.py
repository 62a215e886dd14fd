"""Check whether a server on a Unix socket answers, by the first message of its protocol, without a client library."""

import socket
import struct
from pathlib import Path

_TIMEOUT = 5.0  # seconds for one probe
_PROTOCOL_3_0 = 196608
_TOO_MANY_CONNECTIONS = b"C53300\0"


def postgres_answers(path: Path) -> bool:
    """Return whether PostgreSQL accepts a connection, or has too many of them (SQLSTATE 53300).

    A server in recovery answers the start-up message with another error. Source: PostgreSQL manual, "Message Formats"
    (StartupMessage, AuthenticationOk, ErrorResponse).
    """
    parameters = b"user\0postgres\0database\0postgres\0\0"
    startup = struct.pack("!II", 8 + len(parameters), _PROTOCOL_3_0) + parameters
    answer = _ask(path, startup)
    return answer.startswith(b"R") or (answer.startswith(b"E") and _TOO_MANY_CONNECTIONS in answer)


def valkey_answers(path: Path) -> bool:
    """Return whether Valkey answers PING."""
    return _ask(path, b"PING\r\n").startswith(b"+PONG")


def _ask(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(request)
            return connection.recv(4096)
        except OSError:
            return b""
