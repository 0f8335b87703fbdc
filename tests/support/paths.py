# pyright: basic
"""Folders that several tests need."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DATA = TESTS / "data"
SUPPORT = TESTS / "support"
SHARED = ROOT.parent / "shared" / "data"
"""Real data beside the checkout; tests that need it are skipped where it is absent."""
NOWHERE = "/proc/none/folder"
"""A folder that not even root can make."""
