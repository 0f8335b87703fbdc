"""Worlds: natively batched Gymnasium environments, usable without anything above them.

``gymnasium.make("envs:CausalLearning-v0", interventions=5)`` works wherever this package is
installed; every field of the family's ``Params`` is a keyword.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from pathlib import Path

import gymnasium

from envs.batched import World


def _check_neighbours() -> None:
    """Refuse to run when another distribution's ``envs`` or ``algos`` shadows ours."""
    here = Path(__file__).resolve().parent
    neighbour = importlib.util.find_spec("algos")
    places = [
        Path(place).resolve()
        for place in (neighbour and neighbour.submodule_search_locations) or []
    ]
    if here.with_name("algos") not in places:
        seen = f"in {places[0]}" if places else "missing"
        raise ImportError(
            f"Rungwise's package envs is in {here}, but algos is {seen}: another distribution uses "
            "one of the two names; install Rungwise into an environment of its own."
        )


_check_neighbours()


@dataclasses.dataclass(frozen=True)
class EnvFamily:
    """One of our environments."""

    name: str
    """The id it is registered under."""
    description: str
    """What it is, in one line."""
    path: str
    """Where its world class is, ``module:class``; imported when needed."""

    @property
    def world(self) -> type[World]:
        """The world class."""
        module, name = self.path.split(":")
        return getattr(importlib.import_module(module), name)

    @property
    def params(self) -> type:
        """The dataclass that configures it."""
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
