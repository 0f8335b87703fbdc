# pyright: basic
"""Whole-training speed against the field; see bench.py. Every process computes on one thread."""

import os

# Read by numpy and torch when they are imported, so this comes before either.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
