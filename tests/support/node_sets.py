# pyright: basic
"""Observations made of nodes and their parents, and a forward pass over them."""

import numpy as np
import torch
from gymnasium import spaces


def graph_space(n=5):
    return spaces.Dict(
        nodes=spaces.Box(-np.inf, np.inf, (n, 3)),
        parents=spaces.MultiBinary((n, n)),
        context=spaces.Box(-np.inf, np.inf, (2,)),
        mask=spaces.MultiBinary(n),
    )


def graphs(count=6, n=5, seed=0):
    """Observation columns of random acyclic graphs, each with at least one legal choice."""
    rng = np.random.default_rng(seed)
    parents = np.tril(rng.random((count, n, n)) < 0.5, -1)
    mask = rng.random((count, n)) < 0.6
    mask[:, 0] = True
    return {
        "obs.nodes": rng.normal(size=(count, n, 3)).astype(np.float32),
        "obs.parents": parents.astype(np.float32),
        "obs.context": rng.normal(size=(count, 2)).astype(np.float32),
        "obs.mask": mask.astype(np.int8),
    }


def forward(policy, columns):
    batch = {name: torch.from_numpy(np.ascontiguousarray(c)) for name, c in columns.items()}
    with torch.no_grad():
        found = policy(batch)
    return found["dist"], found["value"]
