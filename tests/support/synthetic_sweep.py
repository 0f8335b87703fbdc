"""A sweep as it could have been: 16 settings of PPO on causal learning under ASHA, from a seed."""

# pyright: basic

import math
from typing import Any

import numpy as np

from tune_jobs.run_log.events import (
    CheckpointRow,
    DecisionRow,
    EndRow,
    EvaluationRow,
    FindingRow,
    JobEndRow,
    JobRow,
    ResultRow,
    TrialRow,
)

NODES = ["X1", "X2", "X3", "X4", "X5"]
RUNGS = [3, 9]
START = 1_790_000_000.0


def job_row(**changed):
    fields: dict[str, Any] = {
        "run": "causal-2026-11-20-1",
        "env": "envs:CausalLearning-v0",
        "algo": "ppo",
        "metric": "excess_risk",
        "mode": "min",
        "iterations": 27,
        "trials": 16,
        "scheduler": {"kind": "asha", "grace": 3, "reduction_factor": 3, "rungs": RUNGS},
        "choice_names": NODES,
        "searched": ["lr", "clip", "entropy_coef", "hidden", "advantage"],
        "seed": 7,
        "versions": {"rungwise": "0.1.0", "python": "3.11.9", "ray": "2.60.0", "torch": "2.13.0"},
        "time": START,
    }
    return JobRow(**fields | changed)


def result(trial, iteration, score, **changed):
    fields: dict[str, Any] = {
        "seconds": 1.5 * iteration,
        "env_steps": 2048 * iteration,
        "time": START + iteration,
    }
    return ResultRow(trial=trial, iteration=iteration, score=score, **fields | changed)


def end(trial, iteration, reason, sentence="", time=START + 100):
    return EndRow(trial=trial, iteration=iteration, reason=reason, sentence=sentence, time=time)


class Sweep:
    """Writes the rows; the clock moves with every row."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.rows = [job_row()]
        self.configs = {}

    def add(self, row_type, **fields):
        time = START + 0.35 * len(self.rows)
        self.rows.append(row_type(time=time, **fields))

    def draw(self, trial):
        config = {
            "lr": float(10 ** self.random.uniform(-5, -1.6)),
            "clip": float(self.random.choice([0.1, 0.2, 0.3])),
            "entropy_coef": float(10 ** self.random.uniform(-4, -1)),
            "hidden": int(self.random.choice([32, 64, 128])),
            "advantage": str(self.random.choice(["gae", "returns"])),
        }
        self.configs[trial] = config
        self.add(TrialRow, trial=trial, config=config)

    def score(self, trial, iteration):
        lr = self.configs[trial]["lr"]
        fit = math.exp(-((math.log10(lr) + 3.1) ** 2) / 1.2)
        if lr > 8e-3:
            return 1.09 + 0.05 * iteration * self.random.random()
        level = 0.07 + 0.9 * (1 - fit)
        noise = 1 + 0.04 * self.random.standard_normal()
        return (level + (1.09 - level) * math.exp(-iteration * (0.05 + 0.35 * fit))) * noise

    def train(self, trial, iteration, score):
        progress = iteration / 27
        shares = np.array([1.0, 1.0, 1.0, 1.0, 1.0]) + progress * np.array([0, 2.2, -0.6, 0.4, 1.5])
        shares = shares * self.random.uniform(0.9, 1.1, 5)
        jumpy = self.configs[trial]["lr"] > 8e-3
        metrics = {
            "return_mean": float(2 - score),
            "entropy_normalised": float(
                max(0.02, 1 - progress * (3 if jumpy else 0.5 + int(trial) / 50))
            ),
            "grad_norm": float((8 if jumpy else 0.9) * self.random.lognormal(0, 0.3)),
            "kl": float((3 if jumpy else 0.01) * self.random.lognormal(0, 0.4)),
            "explained_variance": float(0.8 * (1 - math.exp(-4 * progress))),
            "choice_fractions": list(map(float, shares / shares.sum())),
        }
        steps = {"seconds": 1.9 * iteration, "env_steps": 8192 * iteration}
        self.add(ResultRow, trial=trial, iteration=iteration, score=score, metrics=metrics, **steps)

    def sick(self, trial, iteration, score):
        """End the trial if a health rule would; say whether it did."""
        if self.configs[trial]["lr"] > 8e-3 and iteration == 2:
            evidence = "KL 14.2 at iteration 2: the policy jumped."
            remedy = "The learning rate is 20x that of the best trial; try 1e-3."
            reason, symptom = "health", "kl_runaway"
        elif trial == "13" and iteration == 6:
            evidence, remedy = "The value loss is NaN since iteration 6.", "Scale the reward."
            score, reason, symptom = math.nan, "health", "not_finite"
        else:
            return False
        self.train(trial, iteration, score)
        about = {"trial": trial, "iteration": iteration}
        self.add(
            FindingRow,
            **about,
            symptom=symptom,
            severity="stop",
            since=iteration,
            evidence=evidence,
            remedy=remedy,
        )
        self.add(EndRow, **about, reason=reason, sentence=evidence)
        return True

    def decide(self, rung, scores):
        """One synchronous rung: the better third, at least one, goes on."""
        order = sorted(scores, key=scores.__getitem__)
        kept = order[: max(1, math.ceil(len(order) / 3))]
        cut = scores[kept[-1]]
        for place, trial in enumerate(order, start=1):
            about = {"trial": trial, "iteration": rung}
            keep, side = trial in kept, "within" if trial in kept else "above"
            sentence = (
                f"rung {rung}: {scores[trial]:.3f} is {side} {cut:.3f}, "
                f"the cut for the best third of {len(order)}"
            )
            self.add(
                DecisionRow,
                **about,
                rung=rung,
                score=scores[trial],
                cut=cut,
                rank=place,
                of=len(order),
                keep=keep,
                sentence=sentence,
            )
            if not keep:
                self.add(EndRow, **about, reason="asha", sentence=f"stopped at {sentence}")
        return kept

    def evaluate(self, best):
        traces = {}
        for name, rate in (("policy", 0.32), ("random", 0.08), ("posterior-variance design", 0.29)):
            traces[name] = {
                node: [float(2.4 / (place + 1) * math.exp(-rate * t)) for t in range(26)]
                for place, node in enumerate(NODES)
            }
        self.add(
            EvaluationRow,
            trial=best,
            checkpoint=f"trials/{best}/checkpoints/27",
            episodes=256,
            seed=1000,
            policy={"median": 0.071, "mean": 0.083, "q90": 0.142},
            baselines={
                "random": {"median": 1.09, "mean": 1.31, "q90": 2.4},
                "round robin": {"median": 0.87, "mean": 0.95, "q90": 1.6},
                "posterior-variance design": {"median": 0.080, "mean": 0.091, "q90": 0.15},
            },
            better_than_random=0.98,
            traces=traces,
            choice_fractions={
                "policy": [0.12, 0.37, 0.05, 0.17, 0.29],
                "random": [0.2, 0.2, 0.2, 0.2, 0.2],
                "round robin": [0.2, 0.2, 0.2, 0.2, 0.2],
                "posterior-variance design": [0.1, 0.41, 0.09, 0.16, 0.24],
            },
        )


def synthetic_rows(seed=3):
    sweep = Sweep(seed)
    alive = [f"{number:02d}" for number in range(1, 17)]
    for trial in alive:
        sweep.draw(trial)
    scores = {}
    for iteration in range(1, 28):
        for trial in list(alive):
            scores[trial] = sweep.score(trial, iteration)
            if trial == "12" and iteration == 2:
                sentence = "ValueError: the graph has a cycle (worlds.py, line 41)"
                sweep.add(EndRow, trial=trial, iteration=1, reason="error", sentence=sentence)
                alive.remove(trial)
            elif sweep.sick(trial, iteration, scores[trial]):
                alive.remove(trial)
            else:
                sweep.train(trial, iteration, scores[trial])
        if iteration in RUNGS:
            alive = sweep.decide(iteration, {trial: scores[trial] for trial in alive})
    for trial in alive:
        path = f"trials/{trial}/checkpoints/27"
        sweep.add(CheckpointRow, trial=trial, iteration=27, path=path)
        sweep.add(EndRow, trial=trial, iteration=27, reason="budget", sentence="")
    sweep.evaluate(min(alive, key=scores.__getitem__))
    sweep.add(JobEndRow, reason="done", seconds=312.4)
    return sweep.rows
