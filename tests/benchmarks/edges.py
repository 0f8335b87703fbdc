# pyright: basic
"""What edge selection costs: a reward in ms by size, steps a second with 2 runners and with none.

``python -m benchmarks.edges`` prints a table and, as its last line, one JSON object. ``--quick``
takes fewer of everything.
"""

import json
import logging
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import ray

import algos
from envs import counter_rng
from envs.edges.params import Params
from envs.edges.world import EdgeSelection
from tune_jobs.jobs.job_yaml import load_job

OBJECTIVES = ("multigrid", "fsai", "sparsifier")
SIZES = (32, 128)


def reward_ms(objective: Any, size: int, times: int) -> float:
    """Median CPU ms of a reward, on matrices whose reference is known already."""
    world = EdgeSelection(Params(objective=objective, size=size, solve=False))
    found: list[float] = []
    for seed in range(times):
        instance = world.get_instance(counter_rng.make_keys(seed, 1))
        latent = np.linspace(-0.5, 0.5, world.objective.latent)
        chosen = world.choose_edges(instance.graph, instance.kept, instance.graph.scores, latent)
        started = time.process_time()
        world.objective.evaluate(instance, instance.kept | chosen, 0.0, solve=False)
        found.append(1e3 * (time.process_time() - started))
    return statistics.median(found)


def steps_per_second(runners: int, iterations: int) -> float:
    """Median over iterations of the preset ``edges``, the first left out: it makes the matrices."""
    job = load_job("edges")
    chosen = replace(job.training, num_env_runners=runners)
    trained = algos.build_algorithm(
        job.algo, job.env, job.env_kwargs, chosen, iterations=10**6, seed=0
    )
    found: list[float] = []
    for _ in range(iterations):
        trained.train()
        found.append(float(trained.flat_metrics["env_steps_per_s"]))
    trained.stop()
    return statistics.median(found[1:])


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv
    answer: dict[str, Any] = {"reward_ms": {}, "env_steps_per_s": {}}
    for objective in OBJECTIVES:
        for size in SIZES[:1] if quick else SIZES:
            ms = reward_ms(objective, size, 2 if quick else 9)
            answer["reward_ms"][f"{objective} {size}"] = round(ms, 1)
            print(f"{objective:12} {size:4} x {size:<4} {ms:8.1f} ms a reward", flush=True)
    ray.init(address="local", num_cpus=3, include_dashboard=False, logging_level=logging.ERROR)
    for runners in (0,) if quick else (0, 2):
        rate = steps_per_second(runners, 3 if quick else 12)
        answer["env_steps_per_s"][runners] = round(rate, 1)
        print(f"{runners} runners {rate:25.1f} environment steps a second", flush=True)
    ray.shutdown()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
