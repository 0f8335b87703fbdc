# pyright: basic, reportMissingImports=false
"""Do the defaults of PPO learn environments that are not ours, without a preset?

``make bench-panel`` trains each environment of the panel with the defaults, over several seeds and
with the health rules watching, and plays fresh episodes with the result. ``--sb3`` trains SB3's PPO
with its own defaults after each of our runs. Each run is a process of its own on one thread. A task
whose package is missing is left out. Prints a table; the last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

TESTS = Path(__file__).resolve().parents[1]
EPISODES = 20
"""Fresh episodes that a trained policy plays, drawn and greedy."""
PLAY_SEED = 10_000
Result = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """An environment, its budget of steps, and the return that the defaults must reach."""

    env: str
    steps: int
    must: float | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)


TASKS = {
    "cartpole": Task("CartPole-v1", 50_000, 475),
    "acrobot": Task("Acrobot-v1", 200_000, -90),
    "pendulum": Task("Pendulum-v1", 120_000, -250),
    "mountaincar": Task("MountainCarContinuous-v0", 100_000),
    "lander": Task("LunarLander-v3", 250_000, 200),
    "lander_continuous": Task("LunarLander-v3", 300_000, 170, {"continuous": True}),
    "cheetah": Task("HalfCheetah-v5", 300_000, 1500),
    "hopper": Task("Hopper-v5", 1_000_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=TASKS, help="these tasks instead of all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sb3", action="store_true", help="train SB3's PPO, too")
    parser.add_argument("--run", choices=RUNS, help="(internal) one run in this process")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a setting of ours in place of its default, as JSON",
    )  # fmt: skip
    args = parser.parse_args()
    changed = {name: json.loads(value) for name, value in args.set}
    if args.run:
        print(json.dumps(RUNS[args.run](TASKS[args.only[0]], args.seed, changed)))
        return
    found: dict[str, dict[str, list[Result]]] = {}
    for name in args.only or TASKS:
        if not _is_available(TASKS[name]):
            print(f"{name}: left out, its package is not installed", file=sys.stderr)
            continue
        found[name] = {run: [] for run in (("ours", "sb3") if args.sb3 else ("ours",))}
        for seed in range(args.seed, args.seed + args.seeds):
            for run, results in found[name].items():
                results.append(_run_alone(run, name, seed, args.set))
                print(f"{name} seed {seed} {run}: {results[-1]}", file=sys.stderr, flush=True)
    print(_table(found))
    print(json.dumps({name: _summarise(TASKS[name], runs) for name, runs in found.items()}))


def _is_available(task: Task) -> bool:
    try:
        gymnasium.make(task.env, **task.kwargs).close()
    except (ImportError, gymnasium.error.Error):
        return False
    return True


def _run_alone(run: str, name: str, seed: int, changed: list[list[str]]) -> Result:
    """Run in a process of its own; its result is the last line that it prints."""
    words = ["--run", run, "--only", name, "--seed", str(seed)]
    words += [word for pair in changed for word in ("--set", *pair)]
    places = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.panel", *words],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, places)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name}: {run} failed with seed {seed}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def train_ours(task: Task, seed: int, changed: dict[str, Any]) -> Result:
    """Train with our defaults; health rules watch, but their time does not count."""
    import algos
    from algos.ppo import PPOSettings
    from tune_jobs.health import History, diagnose
    from tune_jobs.health.metric_table import MetricTable
    from tune_jobs.jobs.step_budget import count_iterations
    from tune_jobs.ray_session import ray_session

    torch.set_num_threads(1)
    settings = PPOSettings(**changed)
    iterations = count_iterations(task.steps, settings)
    with ray_session(cpus=1):
        agent = algos.build_algorithm(
            "ppo", task.env, task.kwargs, settings, iterations=iterations, seed=seed
        )
        cpu_s, rows, stop = 0.0, MetricTable(), None
        for i in range(iterations):
            began = time.process_time()
            agent.train()
            cpu_s += time.process_time() - began
            score = agent.flat_metrics.get("return_mean_100")
            rows.append(agent.flat_metrics | {"iteration": i + 1, "score": score})
            history = History(rows, iterations, settings=vars(settings))
            if stop is None and (stopping := diagnose(history).stop) is not None:
                stop = f"{stopping.symptom} at {i + 1} of {iterations}"
        module: Any = agent.env_runner_group.local_env_runner.module  # type: ignore[union-attr]
        generator = torch.Generator().manual_seed(PLAY_SEED)

        def act(observations: Any, greedy: bool) -> Any:
            taken = module.act_on_arrays({"obs": observations}, generator, greedy=greedy)[0]
            return module.head.to_env_action(taken)

        played = _play(task, act)
        agent.stop()
    return played | {"cpu_s": round(cpu_s, 1), "false_stop": stop}


def train_sb3(task: Task, seed: int, changed: dict[str, Any]) -> Result:
    """Train SB3's PPO with its own defaults, on as many copies as ours."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    env = make_vec_env(task.env, n_envs=8, seed=seed, env_kwargs=task.kwargs)
    model = PPO("MlpPolicy", env, n_steps=256, seed=seed, device="cpu")
    began = time.process_time()
    model.learn(task.steps)
    cpu_s = time.process_time() - began
    played = _play(task, lambda seen, greedy: model.predict(seen, deterministic=greedy)[0])
    return played | {"cpu_s": round(cpu_s, 1)}


RUNS = {"ours": train_ours, "sb3": train_sb3}


def _play(task: Task, act: Any) -> Result:
    """Return the mean returns of fresh episodes, actions drawn and greedy."""
    played = {}
    for kind, greedy in (("sampled", False), ("argmax", True)):
        envs = gymnasium.make_vec(task.env, EPISODES, vectorization_mode="sync", **task.kwargs)
        seen, _ = envs.reset(seed=PLAY_SEED)
        total, live = np.zeros(EPISODES), np.ones(EPISODES, bool)
        while live.any():
            seen, rewards, terminated, truncated, _ = envs.step(act(seen, greedy))
            total += rewards * live
            live &= ~(terminated | truncated)
        envs.close()
        played[kind] = round(float(total.mean()), 1)
    return played


def _summarise(task: Task, runs: dict[str, list[Result]]) -> Result:
    """Return medians; ``meets`` counts the seeds whose better way to act reaches the must."""
    ours = runs["ours"]
    best = [max(r["sampled"], r["argmax"]) for r in ours]
    meets = None if task.must is None else sum(score >= task.must for score in best)
    return {
        "must": task.must,
        "meets": None if meets is None else f"{meets}/{len(ours)}",
        "false_stops": [r["false_stop"] for r in ours if r["false_stop"]],
    } | {
        run: {k: statistics.median(r[k] for r in results) for k in ("sampled", "argmax", "cpu_s")}
        for run, results in runs.items()
    }


def _table(found: dict[str, dict[str, list[Result]]]) -> str:
    rows = [["task", "steps", "must", "who", "sampled", "argmax", "CPU s", "false stops"]]
    for name, runs in found.items():
        task = TASKS[name]
        for run, results in runs.items():
            stops = [r["false_stop"] for r in results if r.get("false_stop")]
            figures = [" ".join(f"{r[k]:g}" for r in results) for k in ("sampled", "argmax")]
            cpu = f"{statistics.median(r['cpu_s'] for r in results):g}"
            must = "-" if task.must is None else f"{task.must:g}"
            rows.append([name, f"{task.steps:,}", must, run, *figures, cpu, "; ".join(stops)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


if __name__ == "__main__":
    main()
