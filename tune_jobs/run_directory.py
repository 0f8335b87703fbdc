"""Names of new run directories."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path


def find_free_directory(env: str, parent: Path = Path("runs")) -> Path:
    """Return the first free path of the form ``runs/<env>-<date>-<number>``."""
    # The name of a program may be any text: it must stay one folder below the parent.
    name = re.sub(r"[^\w.-]+", "-", env.split(":")[-1].rsplit("-v", 1)[0].lower()).strip(".-")
    stem = f"{name or 'run'}-{time.strftime('%Y-%m-%d')}"
    return next(path for i in itertools.count(1) if not (path := parent / f"{stem}-{i}").exists())
