"""The folder for what is computed once and kept: search indexes, baked readers."""

from __future__ import annotations

import os
from pathlib import Path


def get_cache_folder() -> Path:
    """Return the cache folder: ``$RUNGWISE_CACHE``, else ``~/.cache/rungwise``."""
    return Path(os.environ.get("RUNGWISE_CACHE") or Path.home() / ".cache" / "rungwise")
