"""`trailgate sweep blobs`: everything at once, and a number that tells what was there."""

import os
from pathlib import Path

from storage.services import Services
from tests.storage.blobs.test_sweep import age, digest_of, kept, orphan, stage


def test_a_sweep_tells_what_it_removed_and_a_second_one_finds_nothing(started: None, trailgate, arrange) -> None:
    async def litter(services: Services) -> list[Path]:
        await kept(services, b"kept")
        lost = [services.blobs.path(await orphan(services, content)) for content in (b"1", b"2", b"3")]
        broken = stage(services.blobs, b"half")
        age(services, broken, 2)
        await orphan(services, b"young", hours=0)
        return [*lost, broken]

    paths = arrange(litter)
    assert trailgate("sweep", "blobs").out == "5 objects checked, 3 removed; 1 interrupted upload removed\n"
    assert not any(path.exists() for path in paths)
    again = trailgate("sweep", "blobs")
    assert (again.status, again.out) == (0, "2 objects checked, 0 removed; 0 interrupted uploads removed\n")


def test_a_store_that_was_never_used(started: None, trailgate) -> None:
    assert trailgate("sweep", "blobs").out.startswith("0 objects")
    refused = trailgate("sweep", "everything")
    assert refused.status == 2


def test_the_store_is_that_of_the_data_directory(started: None, trailgate, arrange) -> None:
    async def where(services: Services) -> Path:
        return services.blobs.path(digest_of(b"x"))

    assert str(arrange(where)).startswith(os.environ["TRAILGATE_DATA_DIR"] + "/blobs/sha256/")
