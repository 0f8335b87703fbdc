"""Run something right after the import of Gymnasium, wherever in a program that is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

GYMNASIUM = "gymnasium"


def run_with_gymnasium(action: Callable[[], None]) -> None:
    """Call ``action`` now if Gymnasium is imported already, else right after its import."""
    if GYMNASIUM in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Finder(action))


class _Finder(MetaPathFinder):
    """Finds Gymnasium as the other finders do, and adds the action to its import."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != GYMNASIUM:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _LoaderWithAction(spec.loader, self)
        return spec


class _LoaderWithAction(Loader):
    """Loads the module by its own loader, which it keeps, and runs the action."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self.loader, self.finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        module.__loader__ = self.loader
        self.loader.exec_module(module)
        # Now and not before: that the module is found does not mean that it is imported.
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
            self.finder.action()
