"""Where a run's environment is defined: remembered at its start, and found again from elsewhere.

An id such as ``my_envs:Warehouse-v0`` is imported from the working directory, so that another one
knows nothing of it. A run directory therefore holds the folder of the module.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from rungwise.user_packages import NAMES, extend_packages
from rungwise.validation import InputError

FILE = "module.json"
"""File of a run directory: ``module``, its ``folder`` and, in a git checkout, its ``commit``."""
GAMES = "pettingzoo"
"""Prefix before the module of a game of several agents."""


def remember_module(env_id: str, directory: Path) -> None:
    """Write down where the module of an environment lies, unless it is an installed package."""
    module = _get_module(env_id)
    file = getattr(sys.modules.get(module), "__file__", None)
    if not module or not file:
        return
    folder = _locate(module, file)
    installed = [Path(sysconfig.get_paths()[kind]).resolve() for kind in ("purelib", "platlib")]
    root = Path(__file__).resolve().parents[1]
    if folder in installed or folder == root:
        return
    record = {"module": module, "folder": str(folder), "commit": read_commit(folder)}
    (directory / FILE).write_text(json.dumps(record))


def restore_module(path: Path, *, required: bool) -> str:
    """Make the environment's module of a run importable, here and in processes started from here.

    Args:
        path: a run directory, or anything in it.
        required: whether nothing can be done without it.

    Returns:
        A sentence if it was found in its own folder and not in this one, or is another one than at
        the start of the run; else nothing.

    Raises:
        InputError: it is required, but is found nowhere.
    """
    record = _read_file(path)
    if record is None:
        return ""
    module, folder, commit = record["module"], record["folder"], record["commit"]
    if file := _find_file(module):
        here = _locate(module, file)
        return "" if str(here) == folder else f"The module {module} is that of {here}."
    if Path(folder).is_dir():
        sys.path.append(folder)
        if _find_file(module):
            # Ray's workers, too: they know the working directory only.
            paths = [os.environ.get("PYTHONPATH", ""), folder]
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            now = read_commit(folder)
            changed = f"; it was at commit {commit[:10]} then and is at {now[:10]} now"
            return f"The module {module} is that of {folder}{changed if commit != now else ''}."
        sys.path.remove(folder)
    if not required:
        return ""
    raise InputError(
        f"{path} was trained in an environment of the module {module}, which is neither here nor "
        f"in {folder}, where it was then: call this command in the folder that holds {module} "
        "(`cd FOLDER`), or set PYTHONPATH to that folder."
    )


def describe_commit(directory: Path) -> str:
    """Return the commit of the code that a run trains with, and whether files differ from it.

    It is that of the environment's module where the run directory remembers one, else that of the
    working directory; empty without a git checkout.
    """
    record = _read_file(directory)
    folder = record["folder"] if record else "."
    if not (commit := read_commit(folder)):
        return ""
    words = [
        "git",
        "--no-optional-locks",
        "-C",
        folder,
        "status",
        "--porcelain",
        "--untracked-files=no",
    ]
    changed = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return f"{commit} with uncommitted changes" if changed else commit


def _get_module(env_id: str) -> str:
    before, _, last = env_id.rpartition(":")
    return last if before == GAMES else before


def _read_file(path: Path) -> dict[str, str] | None:
    """Return what the run remembers that a path lies in; None where none does."""
    for folder in (path.resolve(), *path.resolve().parents):
        try:
            plain = json.loads((folder / FILE).read_text())
            record = {name: str(plain[name]) for name in ("module", "folder", "commit")}
        except (OSError, ValueError, LookupError, TypeError):
            continue
        # Code that came with a run, which may be a stranger's, is never imported.
        return None if Path(record["folder"]).resolve().is_relative_to(folder) else record
    return None


def _locate(module: str, file: str) -> Path:
    """Return the folder from which a module is imported, given its file."""
    path = Path(file).resolve()
    return path.parents[module.count(".") + (path.name == "__init__.py")]


def _find_file(module: str) -> str:
    """Return the file of a module that can be imported; empty if it cannot."""
    importlib.invalidate_caches()
    extend_packages()
    if module.partition(".")[0] in NAMES:
        importlib.import_module(module.partition(".")[0])
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a package around it is missing
        return ""
    return (spec and spec.origin) or ""


def read_commit(folder: Path | str) -> str:
    """Return the commit of a git checkout; empty for any other folder."""
    words = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if not done.returncode else ""
