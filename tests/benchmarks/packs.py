# pyright: basic
"""Updates in packs: how long those of K trials take together, and one after another.

``python -m benchmarks.packs`` prints a table: seconds per update of one trial, of trials that learn
by themselves (NumPy on the CPU, the operations of torch one by one on a GPU), and in packs of K. On
a GPU packs are measured with and without CUDA graphs. The last line is JSON.

``--sweep`` measures trials per hour instead: the same sweep with one process for each trial, which
share the GPU, and in a pack.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import small
import torch
from packs import CARTPOLE, make_learner, make_tasks, sample
from ray.rllib.core import DEFAULT_MODULE_ID

import tune_jobs
from algos.learning import packed_update
from algos.learning.packed_update import PackedUpdate
from benchmarks.sweep import JOBS
from tune_jobs.jobs.job_yaml import make_job

SIZES = (1, 8, 32)
CHOSEN = {
    **{"num_envs": 8, "rollout_length": 128, "minibatch_size": 128, "epochs": 8, "kl_limit": 0.0},
}
ROUNDS = 3
NETWORKS = {"64 x 64": (64, 64), "700 x 700": (700, 700)}


def time_call(call) -> float:
    """The seconds of the quickest of some calls, after one that is left out."""
    taken = []
    for _ in range(1 + ROUNDS):
        started = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def time_alone(hidden, device) -> float:
    """An update of a learner of its own."""
    chosen = CHOSEN | {"hidden": hidden}
    learner = make_learner(CARTPOLE, "ppo", 0, **chosen)
    learner._device = device
    learner.module[DEFAULT_MODULE_ID].to(device)
    rows = sample(CARTPOLE, "ppo", 0, **chosen)
    return time_call(lambda: small.updated(learner, rows))


def time_packed(tasks, device, graphs) -> float:
    """The update of a trial, computed together with others, on a GPU with CUDA graphs or not."""
    record = packed_update.record_operations
    if not graphs:
        packed_update.record_operations = lambda run, state: run
    update = PackedUpdate(tasks[0], len(tasks), device)
    taken = time_call(lambda: update.run(tasks))
    packed_update.record_operations = record
    return taken / len(tasks)


def measure_updates() -> dict[str, float]:
    """Seconds per update of one trial."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    figures = {}

    def show(name, seconds):
        figures[name] = seconds
        print(f"{name:48}{1000 * seconds:9.2f} ms an update", flush=True)

    for name, hidden in NETWORKS.items() if on_gpu else [*NETWORKS.items()][:1]:
        for kind in ("cpu", "cuda") if on_gpu else ("cpu",):
            show(f"{name}, alone, {kind}", time_alone(hidden, torch.device(kind)))
        tasks = make_tasks(max(SIZES), CARTPOLE, "ppo", **CHOSEN | {"hidden": hidden})
        for size in SIZES:
            for graphs in (False, True) if on_gpu else (False,):
                how = ", CUDA graphs" if graphs else ""
                taken = time_packed(tasks[:size], device, graphs)
                show(f"{name}, {size} together, {device.type}{how}", taken)
    return figures


def measure_sweep(trials: int, processes: int) -> dict[str, float]:
    """Trials per hour with processes of their own, and in a pack."""
    gpus = torch.cuda.is_available()
    job = JOBS["cartpole"] | {"trials": trials}
    figures = {}
    for name, packs, each in (("alone", 0, 1 / processes), ("packed", 1, 1.0)):
        changed = {"packs": packs, "gpus_per_trial": each if gpus else 0.0}
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            run = Path(folder) / "run"
            tune_jobs.run(make_job(job | changed), run, cpus=processes + packs)
            figures[name] = 3600 * trials / (time.perf_counter() - started)
            print(f"{name:8}{figures[name]:9.0f} trials per hour", flush=True)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--processes", type=int, default=16)
    asked = parser.parse_args()
    found = measure_sweep(asked.trials, asked.processes) if asked.sweep else measure_updates()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
