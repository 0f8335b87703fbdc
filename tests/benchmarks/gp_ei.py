# pyright: basic
"""Causal Bayesian optimisation by Gaussian processes and expected improvement, beside policies.

``PYTHONPATH=.:tests python -m benchmarks.gp_ei`` drives the targets of ToyGraph, CompleteGraph, PSA
and epidemiology down in 20 evaluations of 100 rows, on 3 seeds (``--evaluations``, ``--rows``,
``--seeds``), by chance and as Aglietti et al. (2020) do: a process for each exploration set, the
next setting where the improvement expected is largest. Every method is judged by the target's true
expectation under the setting with its lowest rows (the incumbent). With ``--checkpoint`` a policy
of CausalOptimisation plays the same number of evaluations on each model that it can read. The last
line is one JSON object.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from envs import counter_rng
from envs.causal.models import named
from envs.causal.optimisation.problem import noise_rows, simulate_target
from envs.validation import InputError

SETS = {
    "toy_graph": [("X",), ("Z",)],
    "complete_graph": [("B",), ("D",), ("E",), ("B", "D"), ("B", "E"), ("D", "E")],
    "psa": [("aspirin",), ("statin",), ("aspirin", "statin")],
    "epidemiology": [("T",), ("R",), ("T", "R")],
}
"""What each benchmark lets one set together, as published."""
CANDIDATES, PRECISION = 512, 2**14
"""Settings of each set among which the next is sought, and noise rows of a true expectation."""


class Task:
    """One model whose target is to be driven down."""

    def __init__(self, name, rows):
        self.model, self.rows = named.load_model(name), rows
        self.target = np.array([self.model.names.index(self.model.target)])
        self.noise = noise_rows(PRECISION, len(self.model.names))

    def mean(self, setting, noise):
        """The target's mean over noise [rows, n] under a setting, node -> value."""
        names = self.model.names
        chosen = np.isin(names, list(setting))[None]
        values = np.array([[setting.get(name, 0.0) for name in names]])
        return float(simulate_target(self.model.scm, self.target, chosen, values, noise).mean())

    def evaluated(self, setting, key):
        """Its mean over rows drawn for this evaluation."""
        return self.mean(setting, counter_rng.normal(key, (self.rows, len(self.model.names)))[0])

    def expectation(self, setting):
        """Its true expectation."""
        return self.mean(setting, self.noise)

    def setting(self, nodes, place):
        """The setting of nodes at a place [d] of the unit cube that stands for their domains."""
        scm, node = self.model.scm, [self.model.names.index(name) for name in nodes]
        values = scm.low[0, node] + place * (scm.high[0, node] - scm.low[0, node])
        return dict(zip(nodes, values.tolist(), strict=True))


def spread(count, nodes, seed):
    """Places [count, nodes] all over the unit cube, from a random start."""
    start = counter_rng.uniform(counter_rng.make_keys(seed, 1), (nodes,))[0]
    return (counter_rng.low_discrepancy(count, nodes) + start) % 1


def by_chance(task, sets, evaluations, seed):
    """The true expectation of the incumbent after each evaluation, of settings drawn at random."""
    drawn = np.random.default_rng(seed).integers(len(sets), size=evaluations)
    chosen = [
        (sets[which], spread(1, len(sets[which]), own(seed, t))[0]) for t, which in enumerate(drawn)
    ]
    return incumbents(task, [task.setting(*each) for each in chosen], seed)


def by_improvement(task, sets, evaluations, seed):
    """The same of a Gaussian process for each set, which begins with one setting of each."""
    keys, settings, found = counter_rng.make_keys(2**20 + seed, 1), [], []
    tried = [([], []) for _ in sets]
    for t in range(evaluations):
        if t < len(sets):
            which, x = t, spread(1, len(sets[t]), own(seed, t))[0]
        else:
            which, x = most_promising(tried, np.array(found), own(seed, t))
        settings.append(task.setting(sets[which], x))
        found.append(task.evaluated(settings[-1], counter_rng.fold(keys, t)))
        tried[which][0].append(x)
        tried[which][1].append(found[-1])
    return incumbents(task, settings, seed)


def own(seed, t):
    """A number for each evaluation of each seed."""
    return 1000 * seed + t


def incumbents(task, settings, seed):
    """The true expectation of the setting with the lowest rows so far, after each setting."""
    keys = counter_rng.make_keys(2**20 + seed, 1)
    seen = [
        task.evaluated(setting, counter_rng.fold(keys, t)) for t, setting in enumerate(settings)
    ]
    return [task.expectation(settings[int(np.argmin(seen[: t + 1]))]) for t in range(len(seen))]


def most_promising(tried, found, seed):
    """The set and its place with the largest expected improvement on the lowest of found [t]."""
    centre, scale = found.mean(), max(found.std(), 1e-9)
    best, choice = -np.inf, (0, np.zeros(1))
    for which, (x, y) in enumerate(tried):
        places = spread(CANDIDATES, len(x[0]), seed)
        process = fitted(np.array(x), (np.array(y) - centre) / scale, seed)
        mean, deviation = process.predict(places, return_std=True)
        promise = improvement((found.min() - centre) / scale, mean, deviation)
        if promise.max() > best:
            best, choice = promise.max(), (which, places[promise.argmax()])
    return choice


def fitted(x, y, seed):
    """A Gaussian process of values y [m] at places x [m, d] of the unit cube."""
    width: Any = np.full(x.shape[1], 0.2)
    kernel = ConstantKernel(1.0, (0.1, 10.0)) * Matern(width, (0.02, 2.0), nu=2.5)
    kernel += WhiteKernel(1e-2, (1e-4, 1e-1))
    search: Any = "fmin_l_bfgs_b" if len(y) > 2 else None
    process = GaussianProcessRegressor(
        kernel,
        optimizer=search,
        n_restarts_optimizer=3,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # A width at its bound is an answer: the target hardly changes along that node.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(x, y)


def improvement(best, mean, deviation):
    """The expected improvement on the best, where a value is normal (Mockus et al. 1978)."""
    from scipy.stats import norm

    gap = best - mean
    z = gap / np.maximum(deviation, 1e-9)
    return gap * norm.cdf(z) + deviation * norm.pdf(z)


def by_policy(checkpoint, name, rows, evaluations, seeds):
    """The incumbents [seeds] at the end of a policy's episodes, or why it has none."""
    from algos.policy import Policy
    from tune_jobs.evaluation.evaluate import evaluate
    from tune_jobs.evaluation.evaluation_world import make_scm_kwargs

    policy = Policy.load(checkpoint)
    changed = make_scm_kwargs(name, policy.metadata["env"], policy.metadata["env_kwargs"])
    changed |= {"rows": rows, "interventions": evaluations, "precision": 1024}
    try:
        evaluation = evaluate(policy, seeds, 0, changed, skip_slow_baselines=True)
    except InputError as error:
        return str(error)
    return evaluation.episodes["policy"].metrics["incumbent"].tolist()


METHODS = {"random": by_chance, "gp_ei": by_improvement}


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="models with this in their names")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--checkpoint", type=Path, help="a policy of CausalOptimisation")
    asked = parser.parse_args()
    answer = {}
    print(f"{'model':16}{'method':10}{'10 evaluations':>15}{'all':>9}{'worst':>9}{'optimum':>9}  s")
    for name in (name for name in SETS if asked.only in name):
        task, best = Task(name, asked.rows), named.OPTIMA[name].value
        answer[name] = {"optimum": best}
        for method, run in METHODS.items():
            started = time.perf_counter()
            curves = [run(task, SETS[name], asked.evaluations, seed) for seed in range(asked.seeds)]
            seconds = (time.perf_counter() - started) / asked.seeds
            half, end = np.mean(curves, axis=0)[[min(9, asked.evaluations - 1), -1]]
            worst = max(curve[-1] for curve in curves)
            print(
                f"{name:16}{method:10}{half:15.3f}{end:9.3f}{worst:9.3f}{best:9.3f}{seconds:6.1f}",
                flush=True,
            )
            answer[name][method] = {"half": half, "end": end, "worst": worst, "seconds": seconds}
        if asked.checkpoint:
            ends = by_policy(asked.checkpoint, name, asked.rows, asked.evaluations, asked.seeds)
            if isinstance(ends, str):
                print(f"{name:16}policy    {ends}")
            else:
                end, worst = float(np.mean(ends)), float(max(ends))
                print(f"{name:16}{'policy':10}{'':15}{end:9.3f}{worst:9.3f}{best:9.3f}")
                answer[name]["policy"] = {"end": end, "worst": worst}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
