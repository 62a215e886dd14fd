"""Garbage collection settings of a started process."""

import gc

_THRESHOLDS = (10_000, 20, 50)
"""Thresholds of the three generations, higher than the defaults: one request allocates hundreds of containers."""


def freeze_heap() -> None:
    """Exclude the objects that live as long as the process (modules, models, routes) from garbage collection.

    Call it once everything is open. Otherwise each full collection walks hundreds of thousands of objects for nothing,
    while requests wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
