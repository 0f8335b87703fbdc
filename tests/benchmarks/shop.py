# pyright: basic
"""Which algorithm learns to shop best from equally many steps: the shop's presets and REINFORCE.

``PYTHONPATH=.:tests python -m benchmarks.shop`` trains each on three catalogues, seeded as the
policies are (``--steps 2000000 --seeds 0 1 2 --only ppo``; A*-PO's first stage counts), and lets
each policy play 500 goals for families it was never trained on, greedily. Then it is paid for other
goals than it is told, of the same type of product (``same_type``) and of any (``any_type``): what
is left has not come from reading. CPU minutes are those of collecting and learning, in one process
and one thread, and a search is one that was not made before. ``--products 100000`` asks the same of
a larger shop. The last line is one JSON object.
"""

import argparse
import dataclasses
import json
import logging
from functools import partial
from time import process_time as clock
from typing import Any

import numpy as np
import torch

import algos
from algos.models.base import to_observation_columns
from algos.reinforce import ReinforceSettings
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.players import play_world_episodes
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.ray_session import ray_session

LENGTH = 5
"""Steps of an episode, about: what budgets in episodes are reckoned with."""
GOALS = 500
"""That each policy plays."""
FIRST_STAGE = 0.2
"""The share of the steps in which A*-PO estimates V*."""
PLAIN = {
    **{"model": "scorer", "activation": "relu", "gamma": 0.97, "lam": 0.95, "num_envs": 128},
    **{"rollout_length": 16, "minibatch_size": 512, "lr": 3e-3, "lr_schedule": "linear"},
    **{"lr_end": 1e-4, "grad_clip": 1.0, "warm_start": "explorer"},
    **{"entropy_coef": 0.04, "entropy_schedule": "linear", "entropy_end": 2e-3},
    **{"warm_start_episodes": 1500, "warm_start_epochs": 12},
}
"""REINFORCE with a learned baseline as near to PPO's preset as one pass over the rows lets it be:
as many optimiser steps for each step of the environment come from smaller batches."""


def arms() -> dict[str, tuple[str, Any]]:
    """Name -> algorithm and settings."""
    regression, clipped, ppo = (load_job(name) for name in ("shop-astar", "shop-clipped", "shop"))
    return {
        "astar_po regression": (regression.algo, regression.settings),
        "astar_po clipped": (clipped.algo, clipped.settings),
        "ppo": (ppo.algo, ppo.settings),
        "reinforce": ("reinforce", ReinforceSettings(**PLAIN)),
    }


def main() -> None:
    """Train, play, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=2_000_000, help="of the environment")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--products", type=int, default=1000, help="of a catalogue")
    parser.add_argument("--only", default="", help="algorithms with this in their names")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    with ray_session(cpus=1):
        for seed in asked.seeds:  # whoever stops it early has whole comparisons
            for name, (algo, settings) in arms().items():
                if asked.only in name:
                    figures = result(algo, settings, asked, seed)
                    found.setdefault(name, []).append(figures)
                    told = ", ".join(f"{n} {value:.3f}" for n, value in figures.items())
                    print(f"{name}, seed {seed}: {told}", flush=True)
    print(json.dumps({name: summary(seeds) for name, seeds in found.items()}))


def result(algo: str, settings: Any, asked: argparse.Namespace, seed: int) -> dict[str, float]:
    """What is reached on held-out goals after so many steps, and what they cost."""
    job, steps = load_job("shop"), asked.steps
    kwargs = {**job.env_kwargs, "seed": seed, "products": asked.products}
    if hasattr(settings, "reference_samples"):
        starts = int(FIRST_STAGE * steps / (settings.reference_samples * LENGTH))
        settings = dataclasses.replace(settings, starts=starts)
    built: Any = algos.build_algorithm(
        *(algo, "Shopping-v0", kwargs, settings), iterations=budget(settings, steps), seed=seed
    )
    started, curve = clock(), []
    for _ in range(built.config.total_iterations):
        built.train()
        curve.append(built.flat_metrics["score"])
        if built.env_steps >= steps:
            break
    minutes = (clock() - started) / 60
    policy = built.env_runner_group.local_env_runner.module
    judged: Any = make_world("Shopping-v0", kwargs | job.evaluation_env_kwargs | {"goals": GOALS})
    rule, agent = judged.baselines["rule_with_options"], greedy(policy)
    ruled = partial(played, judged, lambda s, o, k: rule(judged, s, k))
    own = played(judged, agent)
    found = {name: own[name] for name in ("score", "success", "length", "bought")}
    found["rule"] = ruled()["score"]
    for name in ("same_type", "any_type"):
        other = shuffled(judged, name == "same_type")
        found[name] = played(judged, agent, other)["score"]
        found[f"rule_{name}"] = ruled(other)["score"]
    found |= {"training": float(np.mean(curve[-5:])), "steps": built.env_steps}
    built.stop()
    return found | {
        "cpu_minutes": minutes,
        "steps_per_cpu_s": found["steps"] / (60 * minutes),
        "search_ms": search_ms(judged),
    }


def search_ms(world: Any) -> float:
    """What it costs to search for an instruction, the median of a hundred."""
    found = []
    for goal in world.store.goals[:100]:
        started = clock()
        world.store.engine.search(goal.instruction)
        found.append(1e3 * (clock() - started))
    return float(np.median(found))


def played(world: Any, agent: Any, paid: Any = None) -> dict[str, float]:
    """Means over the goals; ``paid`` [G] are the goals that purchases are judged by instead."""
    store, worth = world.store, world.store.compute_reward
    if paid is not None:
        store.compute_reward = lambda goal, *bought: worth(int(paid[goal]), *bought)
    try:
        return world.summarise(play_world_episodes(world, agent, GOALS, 0).metrics)
    finally:
        store.compute_reward = worth


def shuffled(world: Any, same_type: bool) -> Any:
    """Another goal [G] for each, of the same type of product or of any."""
    types = np.array([goal.target.query if same_type else "" for goal in world.store.goals])
    other, generator = np.arange(len(types)), np.random.default_rng(0)
    for one in np.unique(types):
        members = generator.permutation(np.flatnonzero(types == one))
        other[members] = np.roll(members, 1)
    return other


def budget(settings: Any, steps: int) -> int:
    """Iterations of so many steps."""
    if not hasattr(settings, "reference_samples"):
        return steps // settings.rows_per_iteration
    first = settings.starts * settings.reference_samples * LENGTH
    return (steps - first) // (settings.rows_per_iteration * LENGTH)


def greedy(policy: Any) -> Any:
    """The most likely action of a policy network, as an agent."""
    return lambda s, observation, k: policy.head.to_env_action(
        {
            name: part.numpy()
            for name, part in policy.act(to_observation_columns(observation), greedy=True)[
                0
            ].items()
        }
    )


def summary(seeds: list[dict[str, float]]) -> dict[str, Any]:
    """Means over seeds, and the score and success of each."""
    means = {n: round(float(np.mean([s[n] for s in seeds])), 3) for n in seeds[0]}
    return means | {f"{n}_by_seed": [round(s[n], 3) for s in seeds] for n in ("score", "success")}


if __name__ == "__main__":
    main()
