# pyright: basic
"""Record a sweep in full on environments that are not ours, then run it again with the defaults.

``PYTHONPATH=.:tests python -m benchmarks.live_sweeps --to FOLDER`` draws 24 settings of PPO for
each environment, trains each of them and the untuned default to their ends on three seeds, and
writes the curves as a table for ``benchmarks.landscapes``, whose ``--data FOLDER --costs 91``
measures the peers on it. The record of each seed is then replayed in many orders of arrival, the
default first, by Rungwise with its defaults, as random search, by Tune's ASHA and by Optuna's TPE
with its Hyperband. ``sb3_dqn`` is a program of another library in place of PPO. With ``--live``
``rungwise tune`` trains the same trials, and the regret of its setting is read from the table. What
the folder has is not run again. ``--quick`` shows only that it works.

Cost is in full trainings. Regret is that of the policy that a sweep returns, by the last tenth of
its scores: 0 is the best policy of the record of that seed, 1 the median one, at most 2. Each way
chooses among its finalists by that same figure, so that no luck of a final evaluation is in it.
"""

import argparse
import dataclasses
import json
import math
import random
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.landscape_peers import OptunaSearch
from benchmarks.landscape_tables import Table, load
from benchmarks.landscapes import Counted, until
from benchmarks.program_sweeps import SWEEPS, describe
from benchmarks.replays import Stock
from benchmarks.sweep import FACTOR, later_half, rank, tuned
from rungwise.health import RULES
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.score_noise import NoiseSource
from rungwise.run_log.trial_outcome import TrialOutcome
from tune_jobs.api import resume
from tune_jobs.jobs.budget import choose_first_rung
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.schedulers.replay import ReplayedHalving, StoppingWay, replay_trials

ITERATIONS = {
    "LunarLander-v3": 60,
    "Acrobot-v1": 40,
    "FrozenLake-v1": 20,
    "CartPole-v1": 15,
    "Pendulum-v1": 10,
    "sb3_dqn": 81,
}
TRIALS, SEEDS, POINTS, ORDERS, WORKERS = 24, 3, 10, 60, 2
OPTUNA_EVERY = 3
"""Optuna, which is a hundred times as slow, sees every third order."""
FINALISTS = Job.__dataclass_fields__["finalists"].default
QUICK = {"trials": 3, "iterations": POINTS}
SWEEP_FIELDS = {"search", "trials", "points"}
"""Fields of a job that make it a sweep."""
JOB = {
    "settings": {},
    "search": {
        "lr": {"loguniform": [1e-5, 3e-2]},
        "clip": {"uniform": [0.1, 0.4]},
        "entropy_coef": {"loguniform": [1e-4, 1e-1]},
        "gamma": {"choice": [0.9, 0.98, 0.99, 0.995]},
        "epochs": {"int": [2, 12]},
        "hidden": {"choice": [[32, 32], [64, 64], [128, 128]]},
    },
    "trials": TRIALS,
    "evaluation_episodes": 0,
}
FULL = {"scheduler": "none", "health": dict.fromkeys(RULES, "warn"), "finalists": 1}
"""What makes the record complete: nothing ends a trial."""
DEFAULT = "default"
"""The trial with the default settings."""


@dataclass
class Figures:
    """What a way of tuning has cost and returned, replay by replay."""

    costs: list[float] = field(default_factory=list[float])
    regrets: list[float] = field(default_factory=list[float])
    losses: list[float] = field(default_factory=list[float])
    """Its regret less that of the untuned default."""

    def summarise(self) -> dict[str, float]:
        worse = statistics.fmean(loss > 0.1 for loss in self.losses)
        cost, regret = statistics.fmean(self.costs), statistics.fmean(self.regrets)
        return {"cost": cost, "regret": regret, "worse_than_default": worse}


def make_jobs(task: str, quick: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sweep of a task, and the training of its untuned default."""
    job = describe(task) | {"trials": TRIALS} if task in SWEEPS else JOB | {"env": task}
    job |= {"iterations": ITERATIONS[task]} | (QUICK if quick else {})
    # The same settings on every seed of a job, which seeds their training, too.
    job["points"] = make_job(job).sample_configs()
    default = {name: value for name, value in job.items() if name not in SWEEP_FIELDS}
    if task in SWEEPS:
        default["command"] = re.sub(r"--\S+ {(?!seed|out)\w+} ", "", str(job["command"]))
    return job, default


def run(job: dict[str, Any], out: Path, seed: int) -> Outcome:
    """Tune, or read what an earlier call has tuned, whose interrupted trials continue."""
    log = out / "events.jsonl"
    if not log.exists():
        tuned(job, out, ["--seed", str(seed)])
    outcome = Outcome.from_rows(read_event_log(log))
    is_whole = outcome.end is not None and outcome.end.reason == "done"
    return outcome if is_whole else resume(out)


def read_curves(outcome: Outcome) -> np.ndarray:
    """Return the scores [trials, points]; NaN where training has diverged."""
    at = [outcome.job.iterations * (k + 1) // POINTS for k in range(POINTS)]
    return np.array([[find_score(trial, i) for i in at] for trial in outcome.trials])


def find_score(trial: TrialOutcome, iteration: int) -> float:
    """The last score until then. Before the first one it is that: NaN would mean divergence."""
    scores = [(row.iteration, row.score) for row in trial.results if row.score is not None]
    return next((s for i, s in reversed(scores) if i <= iteration), scores[0][1])


def record(env: str, job: dict[str, Any], folder: Path, seeds: int) -> Table:
    """Train every setting to its end on every seed, and write the table."""
    runs = [run(job | FULL, folder / f"{env}-full-{seed}", seed) for seed in range(seeds)]
    names = sorted(job["search"])
    np.savez(
        folder / f"{env}.npz",
        performance=np.stack([read_curves(outcome) for outcome in runs], axis=1),
        names=names,
        settings=[[str(trial.config[name]) for name in names] for trial in runs[0].trials],
    )
    return next(table for table in load(folder) if table.name == env)


def measure_end(trial: TrialOutcome) -> float:
    """The mean of the last tenth of its scores; minus infinity without one."""
    known = [row.score for row in trial.results if row.score is not None]
    last = known[-math.ceil(len(known) / 10) :] if known else []
    return statistics.fmean(last) if last and all(map(math.isfinite, last)) else -math.inf


@dataclass
class Record:
    """The trials of a record as what a search may propose."""

    trials: Sequence[TrialOutcome]

    @property
    def settings(self) -> np.ndarray:
        configs = [trial.config for trial in self.trials]
        return np.array([[str(config[name]) for name in sorted(config)] for config in configs])

    def run(self, setting: int, name: str, rng: np.random.Generator) -> TrialOutcome:
        """The trial of a setting, with a score at each iteration."""
        trial = self.trials[setting]
        rows = [replace(row, score=find_score(trial, row.iteration)) for row in trial.results]
        return replace(trial, results=rows)


def replay(trials: Sequence[TrialOutcome], orders: int) -> dict[str, Figures]:
    """Run the record of a seed again, its first trial first and the others in many orders.

    The policies of finalists that were ended are not kept, as in ``benchmarks.sweep``.
    """
    ends = {trial.id: measure_end(trial) for trial in trials}
    known = [end for end in ends.values() if math.isfinite(end)]
    best, median = max(known), statistics.median(max(end, min(known)) for end in ends.values())
    scale = (best - median) or 1.0
    job, found = trials[1].job, dict[str, Figures]()
    noise = NoiseSource(job.metric)
    first = choose_first_rung(job.iterations)

    def halve(order: Sequence[TrialOutcome]) -> StoppingWay:
        return ReplayedHalving(order, "max", job.iterations, first, FACTOR, noise=noise)

    def choose_end(order: list[TrialOutcome], reached: dict[str, int]) -> TrialOutcome:
        finalists = rank(order, reached, 1, later_half)[:FINALISTS]
        whole = [trial for trial in finalists if reached[trial.id] == len(trial.results)]
        return max(whole, key=lambda trial: ends[trial.id], default=finalists[0])

    def choose_last(order: list[TrialOutcome], reached: dict[str, int]) -> TrialOutcome:
        whole = [trial for trial in order if reached[trial.id] == len(trial.results)]
        return max(whole or order, key=lambda trial: ends[trial.id])

    def add(name: str, cost: float, chosen: TrialOutcome) -> None:
        regret = min(2.0, (best - ends[chosen.id]) / scale)
        figures = found.setdefault(name, Figures())
        figures.costs.append(cost)
        figures.regrets.append(regret)
        figures.losses.append(regret - min(2.0, (best - ends[trials[0].id]) / scale))

    ways: dict[str, tuple[Callable[..., StoppingWay], Callable[..., TrialOutcome]]] = {
        "Rungwise": (halve, choose_end),
        "Tune's ASHA, factor 4": (lambda _: Stock("max", job.iterations, 1, 4), choose_last),
    }
    for seed in range(orders):
        others = list(trials[1:])
        random.Random(seed).shuffle(others)
        order = [trials[0], *others]
        for name, (make, choose) in ways.items():
            replayed = replay_trials(order, make(order), WORKERS)
            add(name, replayed.iterations / job.iterations, choose(order, replayed.reached))
        cost = round(found["Rungwise"].costs[-1])
        for name, count in (("equal", cost), ("twice the", 2 * cost)):
            part = others[:count]  # all of them, where the record has no more
            best_of_part = max(part, key=lambda trial: ends[trial.id])
            add(f"random search, {name} cost", len(part), best_of_part)
        if seed % OPTUNA_EVERY == 0:
            search = OptunaSearch(
                Record(others), "hyperband", np.random.default_rng(seed), job.iterations
            )
            counted = Counted(search)
            proposed = until(cost * job.iterations, search.trials(), counted)
            replayed = replay_trials(proposed, counted, WORKERS)  # type: ignore[arg-type]
            chosen = choose_last(search.started, replayed.reached)
            add("Optuna's TPE with Hyperband", replayed.iterations / job.iterations, chosen)
        add("untuned default", 1, trials[0])
    return found


def read_record(
    task: str, jobs: tuple[dict[str, Any], dict[str, Any]], folder: Path, seed: int
) -> list[TrialOutcome]:
    """Return the untuned default, then the trials of the record of a seed."""
    job, plain = jobs
    (default,) = run(plain | FULL, folder / f"{task}-default-{seed}", seed).trials
    others = run(job | FULL, folder / f"{task}-full-{seed}", seed).trials
    return [replace(default, id=DEFAULT), *others]


def main() -> None:
    """Record, replay, run live and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="folder of runs and tables")
    parser.add_argument("--only", choices=ITERATIONS, nargs="+", default=list(ITERATIONS))
    parser.add_argument("--live", action="store_true", help="tune the same trials, too")
    parser.add_argument("--quick", action="store_true", help="3 short trials on one seed")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    seeds = 1 if asked.quick else SEEDS
    answer = {}
    for env in asked.only:
        job, plain = make_jobs(env, asked.quick)
        table = record(env, job, asked.to, seeds)
        found, live = dict[str, Figures](), []
        for seed in range(seeds):
            for name, figures in replay(
                read_record(env, (job, plain), asked.to, seed), ORDERS
            ).items():
                everything = found.setdefault(name, Figures())
                for kind in dataclasses.fields(Figures):
                    getattr(everything, kind.name).extend(getattr(figures, kind.name))
            if asked.live:
                outcome = run(job, asked.to / f"{env}-live-{seed}", seed)
                cost = sum(trial.iterations for trial in outcome.trials) / job["iterations"]
                winner = [trial.id for trial in outcome.trials].index(outcome.best.id)  # type: ignore
                live.append({"cost": cost, "regret": table.regret(winner)})
        answer[env] = {name: figures.summarise() for name, figures in found.items()}
        print(f"\n{env}\n| way | cost | regret | worse than the default |")
        print("| --- | ---: | ---: | ---: |")
        for name, row in answer[env].items():
            cells = f"{row['cost']:.1f} | {row['regret']:.2f} | {row['worse_than_default']:.0%}"
            print(f"| {name} | {cells} |", flush=True)
        if live:
            answer[env]["live"] = {k: statistics.fmean(s[k] for s in live) for k in live[0]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
