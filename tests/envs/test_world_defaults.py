# pyright: basic
"""What a policy's shape depends on: the defaults of all worlds, and their spaces."""

import dataclasses
from typing import Any

import gymnasium
import pytest
from gymnasium import spaces

import envs

DEFAULTS: dict[str, dict[str, Any]] = {
    "CausalLearning-v0": {
        "scm": "ace5",
        "smallest": 4,
        "largest": 8,
        "interventions": 10,
        "interventions_per_node": 0,
        "rows": 50,
        "student": "bayes_linear",
        "features": 32,
        "interactions": False,
        "length_scale": 1.8,
        "ridge": 0.001,
        "mlp": {"hidden": 64, "lr": 0.002, "fast_epochs": 20, "epochs": 100, "buffer": 50},
        "observe_every": 0,
        "observation_rows": 200,
        "cap": 0.0,
        "like_family": False,
        "stop_when_learnt": False,
        "patience": 6,
        "tolerance": 0.001,
        "reward": {
            "log_gain": 1.0,
            "improvement": 0.0,
            "concentration": 0.0,
            "concentration_limit": 0.4,
            "coverage": 0.0,
            "undersampled": 0.0,
            "diversity_threshold": 0.6,
            "window": 100,
            "postmortem": False,
        },
    },
    "Shopping-v0": {
        "products": 1000,
        "seed": 0,
        "split": "train",
        "goals": 10000,
        "words": 48,
        "vocabulary": 8192,
        "min_texts": 5,
        "data": "",
        "human": False,
        "nouns": "lexicon",
        "episode_limit": 15,
        "compat": "webshop",
        "shaping": 0.0,
        "discount": 1.0,
        "text": "tokens",
        "language_model": "",
        "prompt_tokens": 128,
        "action_tokens": 24,
    },
    "CausalOptimisation-v0": {
        "scm": "hard",
        "target": "",
        "smallest": 4,
        "largest": 8,
        "curriculum": False,
        "pool": "",
        "pool_fraction": 0.5,
        "observations": 20,
        "interventions": 20,
        "rows": 1,
        "at_once": 1,
        "observation": "statistics",
        "graph": False,
        "reward": "expected",
        "precision": 32,
    },
    "EdgeSelection-v0": {
        "objective": "multigrid",
        "action": "latent",
        "observation": "summary",
        "family": None,
        "size": 32,
        "sizes": (),
        "epsilons": (),
        "mastered": 0.8,
        "matrix": "",
        "k": 3,
        "steps": 8,
        "builder": "smoothed_aggregation",
        "reward": "work",
        "instances": 0,
        "solve": True,
    },
    "QuietThoughts-v0": {
        "task": "sums",
        "modulus": 5,
        "degree": 3,
        "terms": 5,
        "filler": 0.0,
        "text": "",
        "language_model": "",
        "context": 16,
        "ahead": 4,
        "longest": 4,
        "price": 0.01,
        "split": "train",
        "shared": False,
        "reader": {
            "width": 64,
            "layers": 2,
            "steps": 500,
            "passages": 128,
            "lr": 0.002,
            "corruption": 0.02,
            "full": 0.5,
            "seed": 0,
        },
        "reader_device": "cpu",
    },
}
SPACES: list[tuple[str, dict[str, Any], Any, Any]] = [
    (
        "CausalLearning-v0",
        {},
        {
            "context": ((2,), "float32", 0.0, 0.0, 1.0, 1.0),
            "mask": ((5,), "float32", 0.0, 0.0, 1.0, 1.0),
            "nodes": ((5, 11), "float32", -10.0, -10.0, 10.0, 10.0),
            "parents": ((5, 5), "float32", 0.0, 0.0, 1.0, 1.0),
        },
        {"choice": ("Discrete", 5, 0), "value": ((), "float32", -1.0, -1.0, 1.0, 1.0)},
    ),
    (
        "CausalLearning-v0",
        {"scm": "random"},
        {
            "context": ((2,), "float32", 0.0, 0.0, 1.0, 1.0),
            "mask": ((8,), "float32", 0.0, 0.0, 1.0, 1.0),
            "nodes": ((8, 18), "float32", -10.0, -10.0, 10.0, 10.0),
            "parents": ((8, 8), "float32", 0.0, 0.0, 1.0, 1.0),
        },
        {"choice": ("Discrete", 8, 0), "value": ((), "float32", -1.0, -1.0, 1.0, 1.0)},
    ),
    (
        "CausalOptimisation-v0",
        {},
        {
            "context": ((5,), "float32", -10.0, -10.0, 10.0, 10.0),
            "mask": ((8,), "float32", 0.0, 0.0, 1.0, 1.0),
            "nodes": ((8, 26), "float32", -10.0, -10.0, 10.0, 10.0),
        },
        {"choice": ("Discrete", 8, 0), "value": ((), "float32", -1.0, -1.0, 1.0, 1.0)},
    ),
    (
        "CausalOptimisation-v0",
        {"graph": True},
        {
            "context": ((5,), "float32", -10.0, -10.0, 10.0, 10.0),
            "mask": ((8,), "float32", 0.0, 0.0, 1.0, 1.0),
            "nodes": ((8, 26), "float32", -10.0, -10.0, 10.0, 10.0),
            "parents": ((8, 8), "float32", 0.0, 0.0, 1.0, 1.0),
        },
        {"choice": ("Discrete", 8, 0), "value": ((), "float32", -1.0, -1.0, 1.0, 1.0)},
    ),
    (
        "EdgeSelection-v0",
        {"size": 6},
        ((31,), "float32", -10.0, -10.0, 10.0, 10.0),
        ((5,), "float32", -1.0, -1.0, 1.0, 1.0),
    ),
    (
        "EdgeSelection-v0",
        {"size": 6, "observation": "graph", "action": "edges"},
        {
            "edge_features": ((220, 7), "float32", -10.0, -10.0, 10.0, 10.0),
            "edge_mask": ((220,), "float32", 0.0, 0.0, 1.0, 1.0),
            "edges": ((2, 220), "int64", 0.0, 0.0, 35.0, 35.0),
            "legal": ((220,), "float32", 0.0, 0.0, 1.0, 1.0),
            "node_mask": ((36,), "float32", 0.0, 0.0, 1.0, 1.0),
            "nodes": ((36, 7), "float32", -10.0, -10.0, 10.0, 10.0),
            "summary": ((31,), "float32", -10.0, -10.0, 10.0, 10.0),
        },
        ((36, 3), "int64", -1.0, -1.0, 219.0, 219.0),
    ),
    (
        "Shopping-v0",
        {"products": 150, "goals": 50},
        {
            "candidates": ((25, 48), "int16", 0.0, 0.0, 8191.0, 8191.0),
            "context": ((13,), "float32", 0.0, 0.0, 3.0, 3.0),
            "figures": ((25, 12), "float32", -3.0, -3.0, 3.0, 3.0),
            "instruction": ((48,), "int16", 0.0, 0.0, 8191.0, 8191.0),
            "kinds": ((25,), "int8", 0.0, 0.0, 10.0, 10.0),
            "mask": ((25,), "float32", 0.0, 0.0, 1.0, 1.0),
            "page": ((48,), "int16", 0.0, 0.0, 8191.0, 8191.0),
        },
        ("Discrete", 25, 0),
    ),
    (
        "QuietThoughts-v0",
        {"reader": {"width": 16, "steps": 0}},
        {"tokens": ((13,), "int64", 0.0, 0.0, 12.0, 12.0)},
        ("Discrete", 6, 0),
    ),
]
"""Id, fields, and of the observation and the action: shape, type, lowest and highest bounds."""


def described(space: Any):
    if isinstance(space, spaces.Dict):
        return {name: described(part) for name, part in space.items()}
    if isinstance(space, spaces.Discrete):
        return "Discrete", int(space.n), int(space.start)
    ends = (space.low.min(), space.low.max(), space.high.min(), space.high.max())
    return space.shape, str(space.dtype), *map(float, ends)


def test_every_world_is_listed():
    assert set(DEFAULTS) == set(envs.FAMILIES) == {name for name, *_ in SPACES}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_of_a_world_stay_what_they_are(name):
    assert dataclasses.asdict(envs.FAMILIES[name].params()) == DEFAULTS[name]


@pytest.mark.parametrize(("name", "fields", "observation", "action"), SPACES, ids=str)
def test_the_spaces_of_a_world_stay_what_they_are(name, fields, observation, action):
    env = gymnasium.make(f"envs:{name}", **fields)
    assert described(env.observation_space) == observation
    assert described(env.action_space) == action


@pytest.mark.parametrize(("name", "fields", "observation", "action"), SPACES, ids=str)
def test_every_choice_has_a_name_of_its_own(name, fields, observation, action):
    world: Any = gymnasium.make(f"envs:{name}", **fields).unwrapped
    choice = action["choice"] if isinstance(action, dict) else action
    names = world.world.choice_names
    assert len(names) == (choice[1] if choice[0] == "Discrete" else 0)
    assert len(set(names)) == len(names)
