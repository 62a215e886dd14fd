"""The server that is fuzzed."""

import threading
from dataclasses import dataclass, field

from tests.conftest import ADMIN_KEY


@dataclass
class Live:
    """Where the server listens, and the ids of what it has, by the name of the path parameter that takes them."""

    address: str = ""
    world: dict[str, str] = field(default_factory=dict)
    ready: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Api-Key": ADMIN_KEY}
