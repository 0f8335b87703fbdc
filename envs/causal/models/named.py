"""Named structural causal models, and their known optima.

The post-mortems' own models, and published benchmarks of causal Bayesian optimisation.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from envs.causal.models.expressions import NodeNoise, from_expressions
from envs.causal.models.families import FAMILIES
from envs.causal.models.gaussian import Optimum, best_setting, network
from envs.causal.models.scm import AdditiveScm, Model, from_terms
from envs.contract import counter_rng
from rungwise.validation import InputError, unknown_name_error


def load_model(name_or_path: str) -> Model:
    """Load a model by its name, or from a file (formats: :mod:`envs.causal.models.files`).

    Raises:
        InputError: for an unknown name, or a file that cannot be used.
    """
    if name_or_path in MODELS:
        return MODELS[name_or_path]()
    if match := re.fullmatch(r"hierarchical-(\d+)", name_or_path):
        return hierarchical(int(match[1]))
    if match := re.fullmatch(r"fixed-chain-(\d+)", name_or_path):
        return fixed_chain(int(match[1]))
    if "/" in name_or_path or Path(name_or_path).suffix:
        # Files may be in formats whose libraries are slow to import.
        from envs.causal.models.files import read

        return read(Path(name_or_path))
    names = [*MODELS, "hierarchical-30", "fixed-chain-3", *FAMILIES]
    raise unknown_name_error(
        "model or family", name_or_path, names, "(a file's name needs its ending)"
    )


def find_optimum(name: str) -> Optimum | None:
    """Return the optimum of a named model: published, or computed for a linear one."""
    if name in OPTIMA:
        return OPTIMA[name]
    model = load_model(name)
    return best_setting(model) if isinstance(model.scm, AdditiveScm) and model.target else None


def ace5() -> Model:
    """Make the five nodes of the post-mortem: X1 -> X2 -> X3 <- X1 and X4 -> X5."""
    return from_terms(
        terms={
            "X1": {},
            "X2": {("X1", "linear"): 2.0},
            "X3": {("X1", "linear"): 0.5, ("X2", "linear"): -1.0, ("X2", "sine"): 1.0},
            "X4": {},
            "X5": {("X4", "square"): 0.2},
        },
        offset={"X2": 1.0, "X4": 2.0},
        noise={"X1": 1.0, "X2": 0.1, "X3": 0.1, "X4": 1.0, "X5": 0.1},
        domain=(-5.0, 5.0),
    )


def ace15() -> Model:
    """Make the post-mortem's "15 nodes", of which there are 14."""
    expressions = {
        "R1": "",
        "R2": "",
        "R3": "",
        "L1": "1.5*R1 - 0.8*R2 + 2",
        "L2": "-2*R1 + 1.5",
        "L3": "3*R3 - 1",
        "N1": "0.5*L1**2 - L2 + sin(L1)",
        "N2": "cos(L1) + 0.3*L1",
        "N3": "0.2*L3**2",
        "C1": "N1*N2 + 0.5*N1 - 0.3*N2",
        "C2": "tanh(N2 + N3) + 0.5*N3",
        "F1": "0.8*C1",
        "F2": "1.2*C2",
        "F3": "0.4*C1 - 0.6*C2 + sin(C1 - C2)",
    }
    roots = {"R1": NodeNoise(1.0), "R2": NodeNoise(1.5, mean=1.0), "R3": NodeNoise(0.8, mean=-0.5)}
    return from_expressions(
        expressions, dict.fromkeys(expressions, NodeNoise(0.2)) | roots, _everywhere(expressions)
    )


def hierarchical(nodes: int) -> Model:
    """Make the post-mortem's layers: roots, two of mechanisms, their collection, and leaves.

    The layers have a sixth of the nodes each, the third of them the rest. Which nodes are parents,
    and the coefficients, are drawn once for each number of nodes.
    """
    if nodes < 6:
        raise InputError(f"hierarchical-{nodes} has too few nodes for its five layers: take 6.")
    sixth, drawn = nodes // 6, counter_rng.make_keys(nodes, 1)
    sizes = [sixth, sixth, nodes - 4 * sixth, sixth, sixth]
    starts = np.cumsum([0, *sizes]).tolist()
    expressions = dict.fromkeys([f"X{j + 1}" for j in range(nodes)], "")
    for layer in range(1, 5):
        above = np.arange(starts[layer - 1], starts[layer])
        for index, j in enumerate(range(starts[layer], starts[layer + 1])):
            for_count, for_order, for_weights = counter_rng.split(counter_rng.fold(drawn, j), 3)
            one_more = int(counter_rng.integers(for_count, 2)[0])
            count = (1 + one_more, 1 + (index % 3 == 0), 2 + one_more, 1)[layer - 1]
            parents = above[np.argsort(counter_rng.uniform(for_order, (len(above),))[0])][:count]
            weights = 0.3 + 0.4 * counter_rng.uniform(for_weights, (len(parents),))[0]
            total = " + ".join(f"{w:.3f}*X{i + 1}" for i, w in zip(parents, weights, strict=True))
            wave = f" + 0.2*sin({total})" if (j + 1) % 5 == 0 else ""
            expressions[f"X{j + 1}"] = total + wave
    noise = {
        name: NodeNoise(0.15 if expression else 1.0) for name, expression in expressions.items()
    }
    return from_expressions(expressions, noise, _everywhere(expressions))


def toy_graph() -> Model:
    """Make X -> Z -> Y of Aglietti et al. (2020), "Causal Bayesian optimization"."""
    return from_expressions(
        {"X": "", "Z": "exp(-X)", "Y": "cos(Z) - exp(-Z/20)"},
        dict.fromkeys("XZY", NodeNoise(1.0)),
        {"X": (-5, 5), "Z": (-5, 20)},
        target="Y",
    )


def complete_graph() -> Model:
    """Make the model of Aglietti et al. (2020) that is confounded by U1 and U2."""
    expressions = {
        "F": "",
        "A": "F**2 + U1",
        "B": "U2",
        "C": "exp(-B)",
        "D": "exp(-C)/10",
        "E": "cos(A) + C/10",
        "Y": "cos(D) - D/5 + sin(E) - E/4 + U1 + exp(-U2)",
        "U1": "",
        "U2": "",
    }
    return from_expressions(
        expressions,
        dict.fromkeys(expressions, NodeNoise(1.0)),
        {"B": (-5, 4), "D": (-5, 5), "E": (-6, 3)},
        target="Y",
        hidden=("U1", "U2"),
    )


def psa() -> Model:
    """Make the aspirin, statins and antigen model of Aglietti et al. (2020)."""
    return from_expressions(
        {
            "age": "",
            "bmi": "27 - 0.01*age",
            "aspirin": "sigmoid(-8 + 0.10*age + 0.03*bmi)",
            "statin": "sigmoid(-13 + 0.10*age + 0.20*bmi)",
            "cancer": "sigmoid(2.2 - 0.05*age + 0.01*bmi - 0.04*statin + 0.02*aspirin)",
            "psa": "6.8 + 0.04*age - 0.15*bmi - 0.60*statin + 0.55*aspirin + cancer",
        },
        {"age": NodeNoise.uniform(55, 75), "bmi": 0.7, "psa": 0.4},
        {"aspirin": (0, 1), "statin": (0, 1)},
        target="psa",
    )


def epidemiology() -> Model:
    """Make the epidemic of Branchini et al. (2023), "Causal entropy optimization"."""
    return from_expressions(
        {
            "B": "",
            "T": "",
            "L": "sigmoid(0.5*T + B)",
            "R": "4 + L*T",
            "Y": "0.5 + cos(4*T) + sin(-L + 2*R) + B",
        },
        {"B": NodeNoise.uniform(-1, 1), "T": NodeNoise.uniform(4, 8), "Y": 1.0},
        {"T": (4, 8), "R": (4, 12)},
        target="Y",
    )


def fixed_chain(nodes: int) -> Model:
    """Make X0 -> X1 -> ..., all with the coefficient 1.5; the last one is the target."""
    if nodes < 2:
        raise InputError(f"fixed-chain-{nodes} has no edge: take fixed-chain-2 or a longer one.")
    return make_fixed_model({f"X{j}": {f"X{j - 1}": 1.5} if j else {} for j in range(nodes)})


def make_fixed_model(edges: Mapping[str, Mapping[str, float]]) -> Model:
    """Make a linear model of the post-mortem's suite: noise 1; the last node is the target.

    Args:
        edges: the coefficients of each node's parents.
    """
    made = from_terms(
        terms={
            node: {(parent, "linear"): weight for parent, weight in parents.items()}
            for node, parents in edges.items()
        },
        offset={},
        noise=dict.fromkeys(edges, 1.0),
        domain=(-5.0, 5.0),
    )
    return made.with_target(made.names[-1])


def linear_gaussian_network(name: str) -> Model:
    """Load a linear-Gaussian network of the bnlearn repository from pgmpy."""
    spec = importlib.util.find_spec("pgmpy")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"The model {name} comes with pgmpy, which is not installed: "
            "pip install 'rungwise[causal]'."
        )
    # Found without importing pgmpy, which takes seconds; its own loader would go to the network.
    root = Path(spec.submodule_search_locations[0])
    return network(json.loads((root / "utils" / "example_models" / f"{name}.json").read_text()))


def _everywhere(names: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    return dict.fromkeys(names, (-5.0, 5.0))


MODELS: dict[str, Callable[[], Model]] = {
    "ace5": ace5,
    "ace15": ace15,
    "toy_graph": toy_graph,
    "complete_graph": complete_graph,
    "psa": psa,
    "epidemiology": epidemiology,
    "fixed-fork": partial(make_fixed_model, {"X": {}, "Z": {}, "Y": {"X": 2.0, "Z": -1.5}}),
    "fixed-collider": partial(make_fixed_model, {"X": {}, "Y": {}, "Z": {"X": 1.2, "Y": 0.8}}),
    "fixed-diamond": partial(
        make_fixed_model, {"X": {}, "Y": {"X": 1.5}, "Z": {"X": -1.0}, "W": {"Y": 2.0, "Z": 1.0}}
    ),
    "fixed-butterfly": partial(
        make_fixed_model,
        {
            "A": {},
            "B": {},
            "C": {"A": 0.8, "B": 1.2},
            "D": {"A": -0.5, "C": 0.9},
            "E": {"C": 1.1, "D": 0.7},
        },
    ),
    "fixed-mixed": partial(
        make_fixed_model, {"A": {}, "B": {}, "C": {}, "D": {"A": 2.0, "B": -1.5, "C": 0.5}}
    ),
    **{
        name: partial(linear_gaussian_network, name)
        for name in ("ecoli70", "magic-niab", "magic-irri", "arth150")
    },
}
"""The models by name; there are also ``hierarchical-<n>`` and ``fixed-chain-<n>``."""

OPTIMA: dict[str, Optimum] = {
    "toy_graph": Optimum(-2.1718, {"Z": -3.2}),
    "complete_graph": Optimum(-3.477, {"B": -5.0, "D": 3.276}),
    "psa": Optimum(5.155, {"aspirin": 0.0, "statin": 1.0}),
    "epidemiology": Optimum(-1.44, {"T": 5.5}),
}
"""The optima of the models that are not linear, over all the settings that are published."""
