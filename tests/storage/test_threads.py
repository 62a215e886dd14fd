"""Threads apart from all others."""

import asyncio
import threading

import pytest

from storage.threads import Threads, in_thread_if


async def test_one_owner_leaves_threads_to_another() -> None:
    threads, over = Threads(4, "test"), threading.Event()
    busy = [asyncio.create_task(threads.run("busy", over.wait)) for _ in range(20)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            assert (await threads.run("quiet", threading.current_thread)).name.startswith("test")
            assert await asyncio.to_thread(str, 1) == "1"
    finally:
        over.set()
    assert all(await asyncio.gather(*busy))


async def test_an_error_is_the_callers() -> None:
    threads = Threads(1, "test")
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run("a", int, "x")
    assert await threads.run("a", int, "1") == 1


async def test_short_work_needs_no_thread() -> None:
    here = threading.current_thread()
    assert await in_thread_if(False, threading.current_thread) is here
    assert await in_thread_if(True, threading.current_thread) is not here
