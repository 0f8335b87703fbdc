"""The problem of an episode of CausalLearning: a model, and the number of interventions.

Of the truth, an agent observes only the graph.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from envs.causal.learning.linear import Units
from envs.causal.learning.metric import Truth, make_truth, probe_points
from envs.causal.learning.params import Params
from envs.causal.learning.student import Student
from envs.causal.models import named
from envs.causal.models.families import draw_family
from envs.causal.models.scm import AdditiveScm, Model, Scm
from envs.contract import counter_rng
from envs.contract.pytree import Bools, Ints, Keys
from rungwise.validation import InputError


@dataclasses.dataclass(frozen=True)
class Problem:
    """One model for all copies (C = 1), or one for each (C = B); a tree of arrays."""

    scm: Scm
    """The models."""
    parents: Bools
    """[C, n, n]: row j marks the parents of node j."""
    settable: Bools
    """[C, n]: which nodes may be set."""
    horizon: Ints
    """[C]: how many interventions an episode has."""
    truth: Truth
    """The mechanisms to learn."""


def load_named_model(params: Params) -> Model:
    """Load the one model of all episodes.

    Raises:
        InputError: for an unknown one, or one that cannot be learnt.
    """
    model = named.load_model(params.scm)
    if model.hidden:
        raise InputError(
            f"The model {params.scm!r} has hidden nodes, whose effects no student here can learn: "
            "make them visible, or take CausalOptimisation."
        )
    _check_learnable(model)
    return model


def _check_learnable(model: Model) -> None:
    """Refuse a model whose excess risk would not be a number."""
    scm = model.scm
    points = Units.of(scm).to_node_units(probe_points(len(model.names)))[None]
    for node, name in enumerate(model.names):
        y = scm.mechanism(np.array([node]), points)[0]
        wrong = np.flatnonzero(~np.isfinite(y))
        parents = np.flatnonzero(scm.parents[0, node])
        if len(wrong):
            where = " and ".join(
                f"{model.names[i]} is {points[0, wrong[0], i]:.3g}" for i in parents
            )
            raise InputError(
                f"The mechanism of {name} is {y[wrong[0]]:g} where {where}, but CausalLearning "
                "compares mechanisms over the inner four fifths of their parents' domains: keep it "
                "to finite numbers there, for example with max, min or clip."
            )
        # The divergence of a root divides by its noise's variance.
        if not len(parents) and not scm.noise[0, node]:
            raise InputError(
                f"The root {name} has noise 0, and how far a fit is from a constant cannot be "
                "measured: give it noise, or make it part of its children's expressions."
            )


def make_common_problem(params: Params, model: Model, student: Student[Any]) -> Problem:
    """Make the problem that all copies share."""
    return _problem(params, model.scm, np.array([model.settable]), student)


def draw_problems(params: Params, keys: Keys, student: Student[Any]) -> Problem:
    """Draw the problems of episodes with keys [B], one each."""
    scm = draw_models(params, keys)
    return _problem(params, scm, scm.real, student)


def draw_models(params: Params, keys: Keys) -> AdditiveScm:
    """Draw models of the family for keys [B]."""
    return draw_family(
        params.scm, counter_rng.fold(keys, _MODEL), params.smallest, params.largest
    ).scm


def _problem(params: Params, scm: Scm, settable: Bools, student: Student[Any]) -> Problem:
    size = scm.real.sum(axis=1)
    per_node = params.interventions_per_node
    return Problem(
        scm=scm,
        parents=scm.parents,
        settable=settable,
        # Larger models get more interventions, in proportion to their nodes.
        horizon=per_node * size if per_node else np.full(size.shape, params.interventions),
        truth=make_truth(scm, student),
    )


_MODEL = 4
"""Which of an episode's random streams its model comes from; the others are the world's."""
