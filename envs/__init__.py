"""Natively batched Gymnasium environments, usable without the packages above.

Every field of a family's ``Params`` is a keyword:

>>> env = gymnasium.make("envs:CausalLearning-v0", interventions=5)
>>> batch = gymnasium.make_vec("envs:CausalLearning-v0", num_envs=3, interventions=5)
>>> observation, info = batch.reset(seed=0)
>>> observation["nodes"].shape
(3, 5, 11)

An environment of your own is a :class:`World`; :class:`BatchedVectorEnv` and :class:`SingleEnv`
make it a Gymnasium environment.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from pathlib import Path

import gymnasium

from envs.batched import BatchedVectorEnv, SingleEnv
from envs.world import Step, World

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

for _family in FAMILIES.values():
    gymnasium.register(
        id=_family.name,
        entry_point="envs.factory:make_single",
        vector_entry_point="envs.factory:make_vector",
        kwargs={"world": _family.path},
    )
