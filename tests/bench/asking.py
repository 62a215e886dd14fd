"""The same questions to several API processes in turn."""

import http.client
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.testbed import ADMIN_KEY, Running

REQUESTS = 40
"""Of each kind and round, in turn to all."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request; `body` None makes it a GET."""

    path: str
    body: bytes | None = None


def times_of(
    apis: Mapping[str, Running], questions: Mapping[str, Mapping[str, Question]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Medians in milliseconds, one a round, by question and API."""
    found: dict[str, dict[str, list[float]]] = {what: {name: [] for name in apis} for what in questions}
    for what, by_name in questions.items():
        for _ in range(rounds + 1):  # the first one warms up
            taken: dict[str, list[float]] = {name: [] for name in apis}
            for _ in range(REQUESTS):
                for name, api in apis.items():
                    taken[name].append(ask(api, by_name[name]))
            for name, times in taken.items():
                found[what][name].append(statistics.median(times))
        for times in found[what].values():
            del times[0]
    return found


def ask(api: Running, question: Question) -> float:
    """Ask once, over a connection of its own; the milliseconds that it took."""
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=30)
    headers = {"X-Api-Key": ADMIN_KEY, "Content-Type": "application/json"}
    connection.connect()
    started = time.perf_counter()
    connection.request("POST" if question.body else "GET", question.path, question.body, headers)
    answer = connection.getresponse()
    answer.read()
    elapsed = (time.perf_counter() - started) * 1000
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{question.path} was answered with {answer.status}")
    return elapsed
