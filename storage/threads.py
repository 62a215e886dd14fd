"""Threads for one kind of blocking work, apart from all other kinds: owners, the organisations, take them in turn."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from storage.slots import Slots

P = ParamSpec("P")
Result = TypeVar("Result")


class Threads:
    """A limited number of threads. They end when the object is no longer referenced."""

    def __init__(self, number: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._slots = Slots(number, name)

    async def run(self, owner: Hashable, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Run `work` in a thread as soon as its owner's turn comes, and return its result."""
        async with self._slots.taken(owner):
            return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: work(*args, **kwargs))


async def in_thread_if(long: bool, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:  # noqa: FBT001
    """Run `work` in a thread if it takes long, and at once otherwise: a thread costs a tenth of a millisecond."""
    return await asyncio.to_thread(work, *args, **kwargs) if long else work(*args, **kwargs)
