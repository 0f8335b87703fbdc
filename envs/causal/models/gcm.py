"""Structural causal models from dowhy.gcm, in Python.

dowhy draws from one model at a time and from its own random numbers. Here its fitted mechanisms are
called for all rows at once, and its noise is taken through its quantiles, so that the draws are
functions of the keys like everywhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.causal.models.expressions import Formula, Noise, assemble_model
from envs.causal.models.scm import Model
from envs.pytree import Floats
from envs.validation import InputError, unknown_name_error

# Midpoints of this many shares reach tails of 1 in 4,000.
_QUANTILES = 2001


def from_gcm(
    causal_model: Any, domains: Mapping[str, tuple[float, float]], target: str = ""
) -> Model:
    """Convert a fitted ``dowhy.gcm.StructuralCausalModel``.

    Args:
        causal_model: its roots have a stochastic model, its other nodes an AdditiveNoiseModel.
        domains: what nodes may be set to; the others may not be set.
        target: the node to be driven down, if there is one.

    Raises:
        InputError: naming the node that has another mechanism, or that does not exist.
    """
    # Imported late, because dowhy is optional.
    gcm, graph = importlib.import_module("dowhy.gcm"), causal_model.graph
    names = [str(node) for node in graph.nodes]
    for name in (*domains, *([target] if target else [])):
        if name not in names:
            raise unknown_name_error("node", name, names, "in the model of dowhy.gcm")
    formulas, noises = dict[str, tuple[Formula, set[str]]](), dict[str, Noise]()
    for node, name in zip(graph.nodes, names, strict=True):
        mechanism = causal_model.causal_mechanism(node)
        # dowhy's own order, in which it has passed the parents when the mechanism was fitted.
        parents = [str(parent) for parent in sorted(graph.predecessors(node))]
        if not parents:
            # A root is its noise alone, so its mechanism is the constant 0.
            formulas[name], noises[name] = (lambda x: 0.0, set()), _noise(mechanism)
        # An exact type: subclasses may combine prediction and noise otherwise than by a sum.
        elif type(mechanism) is gcm.AdditiveNoiseModel:
            places = [names.index(parent) for parent in parents]
            formula = _predicting(mechanism.prediction_model, places)
            formulas[name], noises[name] = (formula, set(parents)), _noise(mechanism.noise_model)
        else:
            raise InputError(
                f"The mechanism of the node {name} is a {type(mechanism).__name__}, but only an "
                "AdditiveNoiseModel is supported: give it one."
            )
    return assemble_model(formulas, noises, domains, target, hidden=0)


def _predicting(prediction_model: Any, places: list[int]) -> Formula:
    # dowhy's predictors take a table [rows, parents], but rows here are [B, rows, n].
    def formula(x: Floats) -> Floats:
        parents = x[..., places]
        return np.reshape(
            prediction_model.predict(parents.reshape(-1, len(places))), parents.shape[:-1]
        )

    return formula


def _noise(model: Any) -> Noise:
    """Return the noise that a stochastic model of dowhy draws."""
    if hasattr(model, "scipy_distribution"):
        # Midpoints of equal shares: the ends 0 and 1 would be infinite for a normal distribution.
        shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        drawn = np.asarray(model.scipy_distribution.ppf(shares, **model.parameters))
    else:
        before = np.random.get_state()  # dowhy draws from the global generator
        # A fixed seed makes the noise the same in every process; the generator of the user is
        # restored after it.
        np.random.seed(0)
        drawn = np.sort(np.ravel(model.draw_samples(100_000)))[:: 100_000 // _QUANTILES]
        np.random.set_state(before)
    # Noise keeps its mean apart, so that the mechanism is the conditional expectation.
    mean = float(drawn.mean())
    return Noise(float(drawn.std()), mean, tuple((drawn - mean).tolist()))
