"""Linear-Gaussian networks: x = (I - B)^-1 (offset + noise), so everything has a closed form."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.causal.models.scm import AdditiveScm, Model, from_terms
from envs.contract.pytree import Floats
from rungwise.validation import InputError, unknown_name_error


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The lowest expected value of a model's target, and how it is reached."""

    value: float
    """The expected value."""
    setting: Mapping[str, float]
    """The nodes that are set, and their values."""


def network(stored: Mapping[str, Any]) -> Model:
    """Read a network as pgmpy's LinearGaussianBayesianNetwork saves it.

    A node may be set to within two standard deviations of its mean. The target is the leaf with
    the most ancestors.

    Raises:
        InputError: naming what is missing.
    """
    try:
        table = {
            name: (
                {parent: float(cpd["coefficients"][parent][0]) for parent in cpd["parents"]},
                float(cpd["coefficients"]["(Intercept)"][0]),
                float(cpd["variance"][0]) ** 0.5,
            )
            for name, cpd in stored["cpds"].items()
        }
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"This is no linear-Gaussian network as pgmpy saves it ({error!r} while reading it): "
            "write it with LinearGaussianBayesianNetwork.save."
        ) from None
    for name, (parents, _, _) in table.items():
        for parent in parents:
            if parent not in table:
                raise unknown_name_error("node", parent, table, f"among the parents of {name}")
    # The domain is filled in below: it depends on the marginal spread, which needs the whole model.
    model = from_terms(
        terms={
            name: {(parent, "linear"): weight for parent, weight in parents.items()}
            for name, (parents, _, _) in table.items()
        },
        offset={name: offset for name, (_, offset, _) in table.items()},
        noise={name: std for name, (_, _, std) in table.items()},
        domain=(0.0, 0.0),
    )
    scm = _additive(model)
    effects, means = total_effects(scm), expected_values(scm)
    # Noise terms are independent, so variances add up along all paths.
    std = np.sqrt(effects**2 @ scm.noise[0] ** 2)
    is_leaf = ~scm.parents[0].any(axis=0)
    # The leaf with most ancestors leaves the agent the most choices.
    target = int(np.where(is_leaf, (effects != 0).sum(axis=1), 0).argmax())
    within = dataclasses.replace(scm, low=(means - 2 * std)[None], high=(means + 2 * std)[None])
    return dataclasses.replace(model, scm=within).with_target(model.names[target])


def total_effects(scm: AdditiveScm) -> Floats:
    """Compute (I - B)^-1 [n, n] of a linear model (C = 1): entry (t, i) is i's effect on t."""
    n = scm.nodes
    direct = np.zeros((n, n))
    # An input that a node lacks has weight 0, and adding that changes nothing.
    np.add.at(direct, (np.arange(n)[:, None], scm.inputs[0]), scm.weights[0].sum(axis=-1))
    # Always invertible: B is nilpotent in an acyclic graph, so the determinant is 1.
    return np.linalg.inv(np.eye(n) - direct)


def expected_values(scm: AdditiveScm) -> Floats:
    """Compute the means [n] of the nodes of a linear model (C = 1)."""
    return total_effects(scm) @ scm.offset[0]


def best_setting(model: Model) -> Optimum:
    """Find the best setting of one node of a linear model."""
    scm, target = _additive(model), model.names.index(model.target)
    effects, means = total_effects(scm), expected_values(scm)
    bounds = np.stack([scm.low[0], scm.high[0]])
    # do(X = v) shifts the target by its total effect times the distance from X's mean; a linear
    # target is lowest at an end of the domain, so two values per node suffice.
    values = means[target] + effects[target] * (bounds - means)
    # Infinity, not removal, so that argmin still returns node numbers.
    values[:, ~np.array(model.settable)] = np.inf
    side, node = (int(index) for index in np.unravel_index(values.argmin(), values.shape))
    return Optimum(float(values[side, node]), {model.names[node]: float(bounds[side, node])})


def _additive(model: Model) -> AdditiveScm:
    if not isinstance(model.scm, AdditiveScm):
        raise InputError("The closed form is for linear models made of terms; this one is not.")
    return model.scm
