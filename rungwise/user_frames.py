"""The frame of user code in which an exception was raised."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = frozenset({"site-packages", "dist-packages"})
"""Folders that hold installed packages."""
FRAMEWORKS = frozenset({"gymnasium", "numpy", "ray", "scipy", "torch"})
"""Packages whose frames do not locate an error of an environment."""
OURS = frozenset({"algos", "cluster", "envs", "rungwise", "tune_jobs"})
"""The packages of this product."""


def find_user_frame(error: BaseException, installed: bool = True) -> str | None:
    """Return ``path:line in function`` of the innermost frame of an environment's code, if any.

    Causes come first (``raise ... from error``): they were raised further inside. So does the error
    that a library was handling when it raised: Gymnasium raises a constructor's TypeError again,
    without its frames. User code comes before that of ``installed`` packages.
    """
    frames = [
        (Path(frame.filename), f"{frame.filename}:{frame.lineno} in {frame.name}")
        for link in _walk_causes(error, set())
        for frame in reversed(traceback.extract_tb(link.__traceback__))
    ]
    for belongs in (_is_user_code, _is_installed) if installed else (_is_user_code,):
        for path, location in frames:
            if path.is_file() and belongs(path):
                return location
    return None


def find_definition(function: object) -> str | None:
    """Return ``path:line`` of a function of an environment's code; None for any other."""
    code = getattr(function, "__code__", None)
    if code is None:  # not written in Python
        return None
    path = Path(code.co_filename)
    is_of_env = _is_user_code(path) or _is_installed(path)
    return f"{path}:{code.co_firstlineno}" if is_of_env else None


def find_running_frame(thread: int) -> str | None:
    """Return ``path:line`` of the innermost frame of user code that a thread runs, if any."""
    running = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]
    frames = reversed(traceback.extract_stack(running))
    lines = ((Path(frame.filename), f"{frame.filename}:{frame.lineno}") for frame in frames)
    return next((line for path, line in lines if path.is_file() and _is_user_code(path)), None)


def is_raised_by(error: BaseException, package: str) -> bool:
    """Return whether the line that raised the error is in this installed package."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _get_package(Path(frames[-1].filename)) == package


def _walk_causes(link: BaseException | None, visited: set[int]) -> Iterator[BaseException]:
    """Yield an error and its causes, the innermost first."""
    if link is None or id(link) in visited:
        return
    visited.add(id(link))
    frames = traceback.extract_tb(link.__traceback__)
    anew = bool(frames) and not _is_user_code(Path(frames[-1].filename))
    yield from _walk_causes(link.__cause__ or (link.__context__ if anew else None), visited)
    yield link
    yield from _walk_causes(link.__context__, visited)


def _is_user_code(path: Path) -> bool:
    here = Path(__file__).resolve().parents[1]
    is_own = any(path.is_relative_to(here / name) for name in OURS)
    return not (is_own or _get_package(path) or _is_standard(path))


def _is_installed(path: Path) -> bool:
    return _get_package(path) not in FRAMEWORKS | {""}


def _is_standard(path: Path) -> bool:
    return any(path.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))


def _get_package(path: Path) -> str:
    """Return the name of the installed package that a file belongs to, empty for none."""
    parts = path.parts
    positions = [i for i, part in enumerate(parts[:-1]) if part in LIBRARIES]
    return parts[positions[-1] + 1].removesuffix(".py") if positions else ""
