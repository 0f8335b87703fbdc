# pyright: basic, reportArgumentType=false, reportOptionalSubscript=false
"""Trials per hour of the same sweep, ours against Tune with RLlib's own PPO.

The settings are those of ``make bench-sweep``, on two workers with one CPU each, every process from
its start to its end: imports, the start of Ray and the report are in it, as a user waits for them.
First every trial to its end, then each with its own ASHA: Tune's rungs are at 1, 3 and 9 iterations
and keep a third, ours at 5, 10 and 20 and keep half. Ours at the rungs of Tune come last. With
``--iterations 1`` nearly all that remains is what starting a trial costs. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.meter import Asked
from benchmarks.settings import TASKS, Task
from benchmarks.sweep import JOBS, tuned
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.search_space import sample_configs

WORKERS = 2
TUNE_RUNGS = ("--grace", "1", "--reduction-factor", "3")
"""Flags with which our rungs are those of Tune's defaults."""
OWN = {"lr": "lr", "clip": "clip_param", "entropy_coef": "entropy_coeff"}
"""Fields that are searched -> RLlib's names of them."""


def task_of(job: Job) -> Task:
    """The job's fixed settings as the contestants of ``benchmarks.bench`` know them."""
    given = job.training
    return replace(
        TASKS["cartpole"],
        copies=given.num_envs,
        batch=given.num_envs * given.rollout_length,
        minibatch=given.minibatch_size,
        epochs=given.epochs,
        hidden=given.hidden,
    )


def stock(trials: int, iterations: int, asha: bool, place: str) -> int:
    """Tune with RLlib's own trainable; the iterations that it ran."""
    from ray import tune
    from ray.rllib.algorithms.ppo import PPO
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.basic_variant import BasicVariantGenerator

    from benchmarks.contestants.rllib_ppo import configured
    from tune_jobs.ray_session import ray_session

    job = make_job(JOBS["cartpole"])
    config = configured(Asked("stock", task_of(job), 0, 0, False))
    drawn = [
        {OWN[name]: value for name, value in one.items()}
        for one in sample_configs(job.search, trials, job.seed)
    ]
    config.training(**{name: tune.uniform(0, 1) for name in drawn[0]})  # each is given by a point
    told = {"metric": "env_runners/episode_return_mean", "mode": "max"}
    with ray_session(cpus=WORKERS):
        found = tune.Tuner(
            PPO,
            param_space=config,
            tune_config=tune.TuneConfig(
                num_samples=trials,
                search_alg=BasicVariantGenerator(points_to_evaluate=drawn),
                scheduler=ASHAScheduler(max_t=iterations, reduction_factor=3, **told)
                if asha
                else None,
            ),
            run_config=tune.RunConfig(
                storage_path=place, stop={"training_iteration": iterations}, verbose=0
            ),
        ).fit()
    assert not found.errors, found.errors
    return sum(result.metrics["training_iteration"] for result in found)


def time_ours(
    trials: int, iterations: int, asha: bool, changed: Sequence[str] = ()
) -> tuple[float, int]:
    """``rungwise tune``: its seconds, and the iterations that it ran."""
    words = ["--trials", str(trials), "--iterations", str(iterations), "--cpus", str(WORKERS)]
    words += changed
    with tempfile.TemporaryDirectory() as place:
        run, started = Path(place) / "run", time.perf_counter()
        tuned(JOBS["cartpole"] | {"scheduler": "asha" if asha else "none"}, run, words)
        wall = time.perf_counter() - started
        return wall, Outcome.from_rows(read_event_log(run / "events.jsonl")).iterations_run


def time_stock(trials: int, iterations: int, asha: bool) -> tuple[float, int]:
    """Tune with RLlib's own trainable in a process of its own: the same of it."""
    words = ["--stock", "--trials", str(trials), "--iterations", str(iterations)]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.trials_per_hour", *words, *["--asha"] * asha],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - started, int(done.stdout.split()[-1])


def main() -> None:
    """Both in turn, or one of them as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=27)
    parser.add_argument("--iterations", type=int, default=27)
    parser.add_argument("--stock", action="store_true", help="run Tune with RLlib's here")
    parser.add_argument("--asha", action="store_true", help="of --stock: stop early")
    asked = parser.parse_args()
    if asked.stock:
        with tempfile.TemporaryDirectory() as place:
            print(stock(asked.trials, asked.iterations, asked.asha, place))
        return
    figures = {}
    print(f"{'':26}{'wall s':>9}{'iterations':>12}{'trials/hour':>13}{'s a trial':>11}")
    for asha in (False, True) if asked.iterations > 1 else (False,):
        how, rates = "ASHA" if asha else "no stopping", {}
        ways = {"stock": time_stock, "ours": time_ours}
        if asha:
            ways["ours, same rungs"] = partial(time_ours, changed=TUNE_RUNGS)
        for name, measure in ways.items():
            wall, ran = measure(asked.trials, asked.iterations, asha)
            rates[name] = 3600 * asked.trials / wall
            found = {"wall_s": wall, "iterations": ran, "trials_per_hour": rates[name]}
            each = WORKERS * wall / asked.trials
            about = f"{wall:9.1f}{ran:12,.0f}{rates[name]:13,.0f}{each:11.2f}"
            print(f"{f'{name}, {how}':26}{about}", flush=True)
            figures[f"{name}, {how}"] = found
            if name != "stock":
                times = rates[name] / rates["stock"]
                print(f"  {times:.1f} times as many trials an hour", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
