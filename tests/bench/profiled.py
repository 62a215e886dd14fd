"""Runs a module of ours, and profiles it from SIGUSR1 to SIGUSR2: its start-up and its end do not count.

`python -m tests.bench.profiled OUTPUT MODULE [WORD…]`
"""

import cProfile
import runpy
import signal
import sys
from pathlib import Path


def main(output: Path, module: str, *words: str) -> None:
    """Run the module as `python -m` would."""
    profile = cProfile.Profile()

    def keep(*_: object) -> None:
        profile.disable()
        draft = output.with_suffix(".draft")
        profile.dump_stats(draft)
        draft.rename(output)

    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    signal.signal(signal.SIGUSR2, keep)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
