# pyright: basic
"""A small EdgeSelection whose rewards are known row by row, and how it is learnt in the tests."""

from typing import Any

ENV = "envs:EdgeSelection-v0"
FIELDS: dict[str, Any] = {"objective": "fsai", "action": "edges", "observation": "graph", "size": 6}
SETTINGS: dict[str, Any] = {
    "algo": "reinforce",
    "model": "graph",
    "baseline": "leave_one_out",
    "group_size": 8,
    "num_envs": 16,
    "rollout_length": 1,
    "minibatch_size": 4,
    "lr": 0.01,
}
