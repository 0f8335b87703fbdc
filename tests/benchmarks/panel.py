# pyright: basic, reportMissingImports=false
"""Do the defaults of PPO learn environments that are not ours, without a preset?

``make bench-panel`` trains each environment of the panel with the defaults, over several seeds and
with the health rules watching, and plays fresh episodes with the result. ``--presets`` trains with
the presets of the zoo instead, whose goals are higher. ``--sb3`` trains SB3's PPO after each of our
runs, with the settings of RL-Baselines3-Zoo where it has some. Each run is a process of its own on
one thread. A task whose package is missing is left out. Prints a table; the last line is one JSON
object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import gymnasium

from benchmarks.panel_runs import RUNS, Result, make_single
from benchmarks.panel_tasks import PRESETS, TASKS, Task
from rungwise.validation import InputError

TESTS = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", help="these tasks instead of all")
    parser.add_argument("--seeds", type=int, help="instead of the task's own number")
    parser.add_argument("--presets", action="store_true", help="the presets of the zoo")
    parser.add_argument("--sb3", action="store_true", help="train SB3's PPO, too")
    parser.add_argument("--run", choices=RUNS, help="(internal) one run in this process")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a setting of ours in place of its default, as JSON",
    )  # fmt: skip
    args = parser.parse_args()
    changed = {name: json.loads(value) for name, value in args.set}
    tasks = PRESETS if args.presets else TASKS
    if unknown := set(args.only or ()) - set(tasks):
        parser.error(f"{', '.join(unknown)}: not among {', '.join(tasks)}")
    if args.run:
        print(json.dumps(RUNS[args.run](tasks[args.only[0]], args.seed, changed)))
        return
    found: dict[str, dict[str, list[Result]]] = {}
    for name in args.only or tasks:
        if not _is_available(tasks[name]):
            print(f"{name}: left out, its package is not installed", file=sys.stderr)
            continue
        found[name] = {run: [] for run in (("ours", "sb3") if args.sb3 else ("ours",))}
        for seed in range(args.seed, args.seed + (args.seeds or tasks[name].seeds)):
            for run, results in found[name].items():
                results.append(_run_alone(run, name, seed, args))
                print(f"{name} seed {seed} {run}: {results[-1]}", file=sys.stderr, flush=True)
    print(_table(found, tasks))
    print(json.dumps({name: _summarise(tasks[name], runs) for name, runs in found.items()}))


def _is_available(task: Task) -> bool:
    try:
        make_single(task).close()
    except (InputError, ImportError, gymnasium.error.Error):
        return False
    return True


def _run_alone(run: str, name: str, seed: int, args: argparse.Namespace) -> Result:
    """Run in a process of its own; its result is the last line that it prints."""
    words = ["--run", run, "--only", name, "--seed", str(seed)]
    words += ["--presets"] if args.presets else []
    words += [word for pair in args.set for word in ("--set", *pair)]
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


def _summarise(task: Task, runs: dict[str, list[Result]]) -> Result:
    """Return medians; ``meets`` counts the seeds whose better way to act reaches the must."""
    ours = runs["ours"]
    best = [max(r["sampled"], r["argmax"]) for r in ours]
    meets = None if task.must is None else sum(score >= task.must for score in best)
    return {
        "must": task.must,
        "meets": None if meets is None else f"{meets}/{len(ours)}",
        "false_stops": [r["false_stop"] for r in ours if r["false_stop"]],
        "findings": [r["findings"] for r in ours],
    } | {
        run: {k: statistics.median(r[k] for r in results) for k in ("sampled", "argmax", "cpu_s")}
        for run, results in runs.items()
    }


def _table(found: dict[str, dict[str, list[Result]]], tasks: dict[str, Task]) -> str:
    rows = [["task", "steps", "must", "who", "sampled", "argmax", "CPU s", "false stops"]]
    for name, runs in found.items():
        task = tasks[name]
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
