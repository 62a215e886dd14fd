#!/usr/bin/env python3
"""`trailgate`: `make install` copies this into the virtual environment, with its interpreter in the first line.

The application runs from its root folder and is not an installed package (ADR 0006). The root comes first on the path,
before any package with the same name elsewhere.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(ROOT))

from cli.main import main  # noqa: E402 - only importable with this path

if __name__ == "__main__":
    main()
