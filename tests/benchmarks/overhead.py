# pyright: basic
"""What measuring costs: CPU seconds of iterations with and without it, in turn, in one process.

``python -m benchmarks.overhead`` prints one JSON object: the share of an iteration's CPU time that
the learner's measurements and the health rules take (both must stay below 0.02).
"""

import json
import logging
import time
from statistics import median
from typing import Any

import ray

import algos
import algos.learner as learning
import algos.runner as running
from algos.ppo import PPO, PPOSettings
from tune_jobs.health import History, diagnose

ROUNDS = 100
CONDITION = dict.fromkeys(("observation_abs_max", "reward_abs_max"), 0.0)


def main() -> None:
    """Measure and print."""
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    chosen = PPOSettings(rollout_length=512, epochs=10, lr=1e-3, entropy_coef=0.0)
    trained = algos.build("ppo", "CartPole-v1", {}, chosen, iterations=10**6, seed=0)
    assert trained.learner_group is not None
    learner: Any = trained.learner_group._learner

    class Silent(PPO):
        """The same algorithm, measuring nothing but what it must."""

        @staticmethod
        def measured(forward, batch, settings):
            return {"kl": forward["value"].sum()}

    loud = type(learner)._examined, learning._change, running.condition
    quiet = (lambda *_: {}), (lambda *_: 0.0), (lambda *_: CONDITION)

    seconds: dict[type, list[float]] = {PPO: [], Silent: []}
    rules: list[float] = []
    rows = []
    for i in range(2 * ROUNDS):
        # Every fourth update costs more: they must be among the loud ones as often as they are.
        learner.updates = i // 2
        learner.algorithm = (PPO, Silent)[i % 2]
        type(learner)._examined, learning._change, running.condition = (loud, quiet)[i % 2]
        started = time.process_time()
        trained.train()
        seconds[learner.algorithm].append(time.process_time() - started)
        rows.append(trained.flat | {"iteration": i + 1, "score": trained.flat["return_mean_100"]})
        started = time.process_time()
        diagnose(History(rows, 2 * ROUNDS))
        rules.append(time.process_time() - started)
    pairs = list(zip(seconds[PPO], seconds[Silent], strict=True))
    measured = sum(a for a, _ in pairs[4:]) / sum(b for _, b in pairs[4:]) - 1
    print(
        json.dumps(
            {
                "measurements": round(measured, 4),
                "health": round(median(rules) / median(seconds[PPO]), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
