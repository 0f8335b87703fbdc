"""Natively batched Gymnasium environments, usable without the packages above.

Every field of a family's ``Params`` is a keyword:

>>> import gymnasium
>>> env = gymnasium.make("envs:CausalLearning-v0", interventions=5)
>>> batch = gymnasium.make_vec("envs:CausalLearning-v0", num_envs=3, interventions=5)
>>> observation, info = batch.reset(seed=0)
>>> observation["nodes"].shape
(3, 5, 11)

An environment of your own is a :class:`World`; :class:`BatchedVectorEnv` and :class:`SingleEnv`
make it a Gymnasium environment. These names are imported on first use, and the families registered
as soon as Gymnasium is imported: what judges logs needs modules of this package and no Gymnasium.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.gymnasium_import import run_with_gymnasium
from rungwise.moved_modules import name_new_places

if TYPE_CHECKING:
    from envs.contract.batched import BatchedVectorEnv, SingleEnv
    from envs.contract.world import Step, World

__all__ = ["FAMILIES", "BatchedVectorEnv", "EnvFamily", "SingleEnv", "Step", "World"]


def _check_neighbours() -> None:
    """Refuse to run when another distribution's ``envs`` or ``algos`` shadows this one.

    Both are common names, and the wrong package would fail much later with an unclear error.
    """
    here = Path(__file__).resolve().parent
    neighbour = importlib.util.find_spec("algos")
    folders = [
        Path(folder).resolve()
        for folder in (neighbour and neighbour.submodule_search_locations) or []
    ]
    if here.with_name("algos") not in folders:
        seen = f"in {folders[0]}" if folders else "missing"
        raise ImportError(
            f"Rungwise's package envs is in {here}, but algos is {seen}: another distribution uses "
            "one of the two names; install Rungwise into an environment of its own."
        )


_check_neighbours()
name_new_places()


@dataclasses.dataclass(frozen=True)
class EnvFamily:
    """A registered environment of this package."""

    name: str
    """The id it is registered under."""
    description: str
    """One line about it."""
    path: str
    """Its world class as ``module:class``, imported when needed."""

    @property
    def world(self) -> type[World]:
        """The world class."""
        module, name = self.path.split(":")
        return getattr(importlib.import_module(module), name)

    @property
    def params(self) -> type:
        """The dataclass of its parameters."""
        return self.world.params_type


FAMILIES: dict[str, EnvFamily] = {
    family.name: family
    for family in (
        EnvFamily(
            name="CausalLearning-v0",
            description="Choose interventions from which a student learns a causal model.",
            path="envs.causal.learning.world:CausalLearning",
        ),
        EnvFamily(
            name="Shopping-v0",
            description="Search a shop, choose options and buy what an instruction asks for.",
            path="envs.shopping.world:Shopping",
        ),
        EnvFamily(
            name="CausalOptimisation-v0",
            description="Choose interventions that drive one node of an unknown causal model down.",
            path="envs.causal.optimisation.world:CausalOptimisation",
        ),
        EnvFamily(
            name="EdgeSelection-v0",
            description="Choose edges of a sparse matrix's graph so that a solver does less work.",
            path="envs.edges.world:EdgeSelection",
        ),
        EnvFamily(
            name="QuietThoughts-v0",
            description="Think, token by token, so that the text that follows is predicted better.",
            path="envs.thoughts.world:QuietThoughts",
        ),
    )
}
"""Every environment of this package by id."""

_MODULES = {
    "BatchedVectorEnv": "envs.contract.batched",
    "SingleEnv": "envs.contract.batched",
    "Step": "envs.contract.world",
    "World": "envs.contract.world",
}


def __getattr__(name: str) -> Any:
    """Import a public class when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def _register_families() -> None:
    try:
        from gymnasium.vector import AutoresetMode  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:  # one of a library whose logs are judged, and older than these need
        return
    from gymnasium.envs.registration import register

    for family in FAMILIES.values():
        register(
            id=family.name,
            entry_point="envs.factory:make_single",
            vector_entry_point="envs.factory:make_vector",
            kwargs={"world": family.path},
        )


run_with_gymnasium(_register_families)
