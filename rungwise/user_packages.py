"""A user's own folders with the names of our packages: both are importable side by side.

Thousands of projects have a folder ``envs`` at their root. Python would import one of the two
packages and never find the modules of the other. Here ours is the package in every process
(:func:`claim_packages`), and its ``__path__`` takes in the folders of the user
(:func:`extend_packages`). A module of the user that has the name of one of ours stays hidden;
:func:`explain_hidden` says so. This file is run before any package of ours is imported, so it uses
nothing but the standard library.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

NAMES = ("envs", "algos", "tune_jobs", "cluster")
"""Our packages that other projects have, too; those further left know nothing of the others."""
ROOT = Path(__file__).resolve().parents[1]
"""The folder of our packages."""


def claim_packages() -> None:
    """Import our packages, whatever else of their names Python would find first."""
    make_claim(str(ROOT))()


def make_claim(root: str) -> Callable[[], None]:
    """Return a function that does that for the packages below ``root``, in any process."""

    def claim() -> None:
        # Pickled by value, as no process could import it before it has run: all names are in here.
        import importlib.util
        import os
        import sys

        rungwise, base = importlib.util.find_spec("rungwise"), root
        own_folder = os.path.join(root, "rungwise")  # noqa: PTH118  # none on another machine
        if not os.path.isdir(own_folder) and rungwise and rungwise.origin:  # noqa: PTH112
            base = os.path.dirname(os.path.dirname(rungwise.origin))  # noqa: PTH120
        modules: dict[str, tuple[Any, Any]] = {}
        for name in ("envs", "algos", "tune_jobs", "cluster"):
            folder = os.path.join(base, name)  # noqa: PTH118
            file = os.path.join(folder, "__init__.py")  # noqa: PTH118
            if getattr(sys.modules.get(name), "__file__", None) == file:
                continue
            if not os.path.isfile(file):  # noqa: PTH113
                return
            spec = importlib.util.spec_from_file_location(
                name, file, submodule_search_locations=[folder]
            )
            if spec is None or spec.loader is None:
                return
            modules[name] = spec.loader, importlib.util.module_from_spec(spec)
        sys.modules.update({name: module for name, (_, module) in modules.items()})
        for loader, module in modules.values():
            loader.exec_module(module)

    return claim


def extend_packages() -> None:
    """Let our packages find the modules in the user's folders of their names."""
    for name in NAMES:
        package = sys.modules.get(name)
        for path in _list_paths(name, sys.path) if package else ():
            search_path = getattr(package, "__path__", [])
            if path.is_dir() and str(path) not in search_path:
                search_path.append(str(path))
                importlib.invalidate_caches()


def has_user_packages(folders: Iterable[str]) -> bool:
    """Whether one of the folders holds a package or module that would be imported for one of ours.

    A folder without ``__init__.py`` would not: Python prefers a package, wherever that is.
    """
    entries = list(folders)
    paths = [path for name in NAMES for path in _list_paths(name, entries)]
    return any(path.is_file() or (path / "__init__.py").is_file() for path in paths)


def explain_hidden(module: str) -> str:
    """Return a sentence about the user's file of a module that ours hides; empty without one."""
    name, *inner = module.split(".")
    if name not in NAMES or not (our_file := _find_file(ROOT / name, inner)):
        return ""
    for path in _list_paths(name, sys.path):
        user_file = _find_file(path, inner) if path.is_dir() else path
        if user_file and user_file.stat().st_size and (path.is_dir() or not inner):
            remedy = (
                f"name a module of that folder itself, such as {name}.my_module"
                if user_file.name == "__init__.py"
                else "rename it"
            )
            return (
                f"{user_file} is hidden by {our_file} of Rungwise, which has the same name {module}"
                f": {remedy}."
            )
    return ""


def _list_paths(name: str, entries: Iterable[str]) -> list[Path]:
    """Return the folders and files of a top-level name in these folders, without ours.

    And those of editable installs, whose folders are known to finders of their own.
    """
    paths = [
        base / file
        for base in (Path(entry or Path.cwd()).resolve() for entry in entries)
        for file in (name, f"{name}.py")
    ]
    for finder in sys.meta_path:
        if finder is not PathFinder and (spec := finder.find_spec(name, None)):
            paths += map(Path, spec.submodule_search_locations or filter(None, [spec.origin]))
    existing = dict.fromkeys(path for path in paths if path.is_dir() or path.is_file())
    return [path for path in existing if not _is_ours(path)]


def _is_ours(path: Path) -> bool:
    """Return whether a folder is that of this Rungwise, or of another copy of it."""
    return (path.parent / "rungwise" / Path(__file__).name).is_file()


def _find_file(folder: Path, inner: list[str]) -> Path | None:
    """Return the file of a package's module, or of the package itself."""
    base = folder.joinpath(*inner)
    files = [base.with_name(f"{base.name}.py")] if inner else []
    return next((file for file in [*files, base / "__init__.py"] if file.is_file()), None)
