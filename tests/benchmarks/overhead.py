# pyright: basic
"""What measuring costs: its share of an iteration's CPU time, timed where it is spent.

``python -m benchmarks.overhead`` prints one JSON object: what the learner's measurements, the
health rules and both add to the CPU seconds of an iteration without them (both must stay below
0.02), each with the interval that holds the share in 95 % of bootstrap samples.

Measurements are the losses of minibatches that are measured, which would need none for their
gradients, and what is computed of them. They are timed while they are taken, in the same iterations
that they are a share of. The difference between iterations with and without them said .9 to 3.7 %
of one and the same code: whatever else an iteration does varies by more than that.
"""

import json
import logging
import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import ray

import algos
import algos.learning.learner as learning
import algos.rollouts.env_runner as running
from algos.learning.quick_gradients import QuickGradients
from algos.ppo import PPOObjective, PPOSettings
from rungwise.health import History, diagnose
from rungwise.health.metric_table import MetricTable

BLOCKS = 50
"""Blocks of iterations; in each the network is examined once."""
WARM_UP = 2
"""Blocks that are left out: what runs for the first time takes longer."""
SAMPLES = 2000
KINDS = ("measurements", "health")


def main() -> None:
    """Measure and print."""
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    chosen = PPOSettings(
        rollout_length=512, epochs=10, lr=1e-3, entropy_coef=0.0, minibatch_size=256
    )
    trained = algos.build_algorithm("ppo", "CartPole-v1", {}, chosen, iterations=10**6, seed=0)
    spent: defaultdict[str, float] = defaultdict(float)

    def timed(kind, function):
        """The same function; its CPU seconds are added to those of its kind."""

        def call(*args):
            started = time.process_time()
            answer = function(*args)
            spent[kind] += time.process_time() - started
            return answer

        return call

    learner: Any = learning.ColumnLearner
    measuring: Any = PPOObjective
    loss = PPOObjective.loss

    def with_timed_metrics(*args):
        found = loss(*args)
        return replace(found, measure=timed("measurements", found.measure))

    measuring.loss = with_timed_metrics
    learner._compute_diagnostics = timed("measurements", learner._compute_diagnostics)
    quick: Any = QuickGradients
    quick.compute_loss = timed("measurements", quick.compute_loss)
    quick._may_end_update = timed("measurements", quick._may_end_update)
    learning.compute_update_ratio = timed("measurements", learning.compute_update_ratio)
    running.compute_environment_metrics = timed("measurements", running.compute_environment_metrics)
    iterate, judge = timed("iteration", trained.train), timed("health", judged)

    rows, iterations = MetricTable(), BLOCKS * learning.DIAGNOSTICS_INTERVAL
    blocks = []
    for i in range(iterations):
        iterate()
        seen = trained.flat_metrics | {
            "iteration": i + 1,
            "score": trained.flat_metrics["return_mean_100"],
        }
        judge(rows, seen, iterations)
        if (i + 1) % learning.DIAGNOSTICS_INTERVAL == 0:
            blocks.append([spent[kind] for kind in (*KINDS, "iteration")])
            spent.clear()
    print(json.dumps(shares(np.array(blocks[WARM_UP:]))))


def judged(rows: MetricTable, row, budget: int):
    """What a live run does with a new row."""
    rows.append(row)
    return diagnose(History(rows, budget))


def shares(blocks):
    """Seconds [N, (measurements, health, iteration)] -> share and interval of each and of both."""
    measuring, judging, iterating = blocks.T
    each = np.stack([measuring, judging, measuring + judging]) / (iterating - measuring)
    drawn = np.random.default_rng(0).integers(len(blocks), size=(SAMPLES, len(blocks)))
    ends = np.quantile(np.median(each[:, drawn], axis=2), (0.025, 0.975), axis=1).T
    return {
        kind: {"share": round(share, 4), "from": round(low, 4), "to": round(high, 4)}
        for kind, share, (low, high) in zip(
            (*KINDS, "both"), np.median(each, axis=1).tolist(), ends.tolist(), strict=True
        )
    }


if __name__ == "__main__":
    main()
