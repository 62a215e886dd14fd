#!/usr/bin/env python3
"""`trailgate`: `make install` puts this into the virtual environment, with that interpreter in the first line.

The folders are an application that is run from its root, not an installed package (ADR 0006), so the root goes onto the
path first: no package of the same name elsewhere can come before it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(ROOT))

from cli.main import main  # noqa: E402 - only importable from here on

if __name__ == "__main__":
    main()
