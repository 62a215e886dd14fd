"""Disks without space for more content."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import Unavailable

_REFUSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_RETRY_AFTER = 60


@contextmanager
def space_needed() -> Iterator[None]:
    """Raise Unavailable where the block finds its disk, or the quota of its user, full, or the disk read-only."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSING:
            raise
        raise Unavailable("The storage for uploads is full; try again later.", _RETRY_AFTER) from error


def require_space(descriptor: int, reserve: int) -> None:
    """Raise OSError, as a full disk does, when fewer than `reserve` bytes are free on the disk of an open file.

    What is left is for PostgreSQL, which may be on the same disk and cannot even be read without any.
    """
    disk = os.fstatvfs(descriptor)
    if disk.f_bavail * disk.f_frsize < reserve:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
