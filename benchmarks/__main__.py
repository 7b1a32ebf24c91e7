"""Measures pdwatch on the testbed: ``make bench``, or ``python -m benchmarks --help``."""

from __future__ import annotations

from benchmarks.cli import main

if __name__ == "__main__":
    main()
