"""The heap of a process that has started."""

import gc

_THRESHOLDS = (10_000, 20, 50)
"""New containers before the young are looked at, and how seldom the older ones are. A request makes hundreds."""


def freeze_heap() -> None:
    """Spare the garbage collector what lives as long as the process: modules, models, routes.

    Called once everything is open. Otherwise each full collection walks hundreds of thousands of objects in vain, while
    requests wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
