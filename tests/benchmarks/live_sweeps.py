# pyright: basic
"""Record a sweep in full on environments that are not ours, then run it live with the defaults.

``PYTHONPATH=.:tests python -m benchmarks.live_sweeps --to FOLDER`` draws 24 settings of PPO for
each environment, trains each to its end on three seeds, and writes the curves as a table for
``benchmarks.landscapes``, whose ``--data FOLDER --costs 91`` measures the peers on it. Then
``rungwise tune`` runs the same trials with its defaults. Prints the cost of each of these sweeps in
full trainings and the regret of its winner. What the folder has is not run again. ``--quick`` shows
only that it works.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.landscape_tables import Table, load
from benchmarks.sweep import tuned
from tune_jobs.health import RULES
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.run_log.event_log import read_event_log
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import TrialOutcome

ITERATIONS = {"LunarLander-v3": 60, "Acrobot-v1": 40}
TRIALS, SEEDS, POINTS = 24, 3, 10
QUICK = {"trials": 3, "iterations": POINTS}
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


def run(job: dict[str, Any], out: Path, seed: int) -> Outcome:
    """Tune, or read what an earlier call has tuned."""
    if not (out / "report.html").exists():
        tuned(job, out, ["--seed", str(seed)])
    return Outcome.from_rows(read_event_log(out / "events.jsonl"))


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


def main() -> None:
    """Record, run live and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="folder of runs and tables")
    parser.add_argument("--only", choices=ITERATIONS, nargs="+", default=list(ITERATIONS))
    parser.add_argument("--quick", action="store_true", help="3 short trials on one seed")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    seeds = 1 if asked.quick else SEEDS
    answer = {}
    for env in asked.only:
        job = JOB | {"env": env, "iterations": ITERATIONS[env]} | (QUICK if asked.quick else {})
        # The same settings on every seed of a job, which seeds their training, too.
        job["points"] = make_job(job).sample_configs()
        table, sweeps = record(env, job, asked.to, seeds), []
        for seed in range(seeds):
            outcome = run(job, asked.to / f"{env}-live-{seed}", seed)
            cost = sum(trial.iterations for trial in outcome.trials) / job["iterations"]
            winner = [trial.id for trial in outcome.trials].index(outcome.best.id)  # type: ignore
            sweeps.append({"cost": cost, "regret": table.regret(winner)})
            print(f"{env}, seed {seed}: {cost:.1f} trainings, regret {table.regret(winner):.2f}")
        answer[env] = {k: statistics.fmean(s[k] for s in sweeps) for k in ("cost", "regret")}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
