"""Files that are written whole: a reader finds the older one or the new one."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_whole(path: Path) -> Generator[Path]:
    """Yield a path to write to, which replaces a file at the end; an exception leaves the older."""
    # On a shared disk two writers may have the same process id, as each container counts its own;
    # and other users could not read a file of `mkstemp`.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
