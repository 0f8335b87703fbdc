# pyright: basic
"""Whole-training speed of Rungwise against the field: ``make bench``.

Every contestant is a process of its own. They take turns (A B C A B C ...), so that a slow minute
of the machine hits all of them, and ratios are taken round by round. Rates are environment steps
of whole training per second of CPU time. Prints a table; the last line is one JSON object.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
# The root comes first: tests/ has folders called algos and envs as well.
PLACES = [str(TESTS.parent), str(TESTS)]
Result = dict[str, Any]
Round = dict[str, Result]


@dataclass(frozen=True)
class Contestant:
    """A script of ``contestants/``, its arguments, and the package it cannot run without."""

    script: str
    words: tuple[str, ...] = ()
    needs: str = "torch"


AGAINST_SB3 = {
    "ours": Contestant("ours"),
    "sb3": Contestant("sb3_ppo", needs="stable_baselines3"),
    "env_alone": Contestant("environment"),
}
CONTESTANTS = {
    "cartpole": {
        "ours": Contestant("ours"),
        "rllib": Contestant("rllib_ppo"),
        "sb3": Contestant("sb3_ppo", needs="stable_baselines3"),
        "single_file": Contestant("single_file"),
        "bound": Contestant("bound"),
        "ours_2_runners": Contestant("ours", ("--runners", "2")),
        "sbx": Contestant("sbx_ppo", needs="sbx"),
    },
    "cartpole_64": {
        "ours": Contestant("ours"),
        "rllib": Contestant("rllib_ppo"),
        "sb3": Contestant("sb3_ppo", needs="stable_baselines3"),
    },
    "lander": AGAINST_SB3,
    "cheetah": AGAINST_SB3,
    "breakout": AGAINST_SB3,
    "causal": {
        "ours": Contestant("ours"),
        "rllib": Contestant("rllib_ppo"),
        "rllib_batched": Contestant("rllib_ppo", ("--batched",)),
        "ours_flat": Contestant("ours", ("--batched",)),
        "env_alone": Contestant("environment"),
    },
    "dear": {
        "ours": Contestant("ours"),
        "ours_2_runners": Contestant("ours", ("--runners", "2")),
    },
}


def main() -> None:
    args = _arguments()
    seeds = range(args.seed, args.seed + (args.rounds or (5 if args.full else 3)))
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load} before the first run", file=sys.stderr)
    answer, raw = {}, {}
    for task in [args.only] if args.only else list(CONTESTANTS):
        raw[task] = rounds = compete(task, seeds, args.iterations, args.contestants)
        print(table(task, rounds), flush=True)
        answer[task] = VERDICTS[task](rounds)
    if args.raw:
        args.raw.write_text(json.dumps(raw))
    print(json.dumps(answer))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=CONTESTANTS, help="one task instead of all")
    parser.add_argument("--rounds", type=int, help="how often; each round has another seed")
    parser.add_argument("--contestants", nargs="+", help="these instead of all of a task")
    parser.add_argument("--iterations", type=int, help="of each run, instead of the task's own")
    parser.add_argument("--full", action="store_true", help="5 rounds instead of 3")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round")
    parser.add_argument("--raw", type=Path, help="write every run's own figures to this file")
    return parser.parse_args()


def compete(
    task: str, seeds: range, iterations: int | None = None, names: list[str] | None = None
) -> list[Round]:
    """Run all contestants of a task in turn, once for each seed."""
    entered = {}
    for name, contestant in CONTESTANTS[task].items():
        if names and name not in names:
            continue
        if importlib.util.find_spec(contestant.needs):
            entered[name] = contestant
        else:
            print(f"{task}: {name} left out, {contestant.needs} is not installed", file=sys.stderr)
    rounds = []
    for seed in seeds:
        rounds.append({name: run(task, name, c, seed, iterations) for name, c in entered.items()})
    return rounds


def run(
    task: str, name: str, contestant: Contestant, seed: int, iterations: int | None = None
) -> Result:
    """One contestant in a process of its own; its result is the last line it prints."""
    module = f"benchmarks.contestants.{contestant.script}"
    words = ["--name", name, "--task", task, "--seed", str(seed), *contestant.words]
    words += ["--iterations", str(iterations)] if iterations else []
    places = os.pathsep.join(filter(None, [*PLACES, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        env=os.environ | {"PYTHONPATH": places, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        sys.exit(f"{task}: {name} failed with seed {seed}:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    told = f"{rate(result):.0f} steps per CPU second, {result['wall_s']:.1f} s"
    print(f"{task} seed {seed} {name}: {told}", file=sys.stderr)
    return result


# What is compared.


def rate(result: Result) -> float:
    """Environment steps of whole training per CPU second, after the warm-up."""
    return result["env_steps"] / result["cpu_s"]


def wall_rate(result: Result) -> float:
    """The same per second of the clock."""
    return result["env_steps"] / result["wall_s"]


def ratios(
    rounds: list[Round], name: str, to: str, figure: Callable[[Result], float | None] = rate
) -> list[float]:
    """One contestant's figure over another's, round by round, where both have one."""
    pairs = [(figure(r[name]), figure(r[to])) for r in rounds if name in r and to in r]
    return [a / b for a, b in pairs if a is not None and b is not None]


def seconds_to_goal(result: Result) -> float | None:
    return result["cpu_s_to_475"]


def middle(values: list[float]) -> float | None:
    """The median to three digits; None without values."""
    return float(f"{statistics.median(values):.3g}") if values else None


def spread(values: list[float]) -> str:
    """Median (least to most)."""
    if not values:
        return "-"
    median, least, most = (
        f"{x:,.0f}" if x >= 100 else f"{x:.2f}"
        for x in (statistics.median(values), min(values), max(values))
    )
    return median if len(values) == 1 else f"{median} ({least} to {most})"


def mean_curve(rounds: list[Round], name: str) -> list[float | None]:
    """Mean return of each iteration over the rounds in which episodes finished in it."""
    curve = []
    for returns in zip(*(r[name]["returns"] for r in rounds), strict=True):
        there = [x for x in returns if x is not None]
        curve.append(round(statistics.mean(there), 1) if there else None)
    return curve


def learning_gap(rounds: list[Round], name: str, to: str) -> Result:
    """How far one learning curve lies above another, averaged over iterations and rounds.

    They learn alike if it is within about two standard errors (over the paired rounds) of 0.
    """
    gaps = []
    for r in rounds:
        pairs = zip(r[name]["returns"], r[to]["returns"], strict=True)
        gaps.append(statistics.mean(a - b for a, b in pairs if a is not None and b is not None))
    error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else None
    return {"mean": round(statistics.mean(gaps), 1), "standard_error": error and round(error, 1)}


# Verdicts: what the JSON line says about a task.


def cartpole(rounds: list[Round]) -> Result:
    peers = {"rllib": "vs_rllib", "sb3": "vs_sb3", "single_file": "vs_single_file"}
    peers |= {"bound": "of_bound", "sbx": "vs_sbx", "ours_2_runners": "vs_ours_2_runners"}
    verdict: Result = {
        label: middle(ratios(rounds, "ours", peer))
        for peer, label in peers.items()
        if peer in rounds[0]
    }
    learners = [name for name in rounds[0] if name != "bound"]
    verdict["cpu_to_475_vs"] = {
        name: middle(ratios(rounds, name, "ours", seconds_to_goal))
        for name in learners
        if name != "ours"
    }
    verdict["reached_475"] = {
        name: f"{sum(seconds_to_goal(r[name]) is not None for r in rounds)}/{len(rounds)}"
        for name in learners
    }
    for peer in ("sb3", "rllib"):
        if peer in rounds[0]:
            verdict[f"return_minus_{peer}"] = learning_gap(rounds, "ours", peer)
    return verdict | _rates(rounds)


def causal(rounds: list[Round]) -> Result:
    return {
        "vs_rllib": middle(ratios(rounds, "ours", "rllib")),
        "env_steps_per_s": middle([rate(r["env_alone"]) for r in rounds]),
        "vs_rllib_batched": middle(ratios(rounds, "ours", "rllib_batched")),
        "same_network_vs_rllib_batched": middle(ratios(rounds, "ours_flat", "rllib_batched")),
        "of_env": middle(ratios(rounds, "ours", "env_alone")),
    } | _rates(rounds)


def against_sb3(rounds: list[Round]) -> Result:
    def without_environment(name: str) -> list[float]:
        """CPU seconds of a step, less those of its environment."""
        return [1 / rate(r[name]) - 1 / rate(r["env_alone"]) for r in rounds if name in r]

    pairs = zip(without_environment("sb3"), without_environment("ours"), strict=False)
    return {
        "vs_sb3": middle(ratios(rounds, "ours", "sb3")),
        "vs_sb3_without_environment": middle([theirs / ours for theirs, ours in pairs]),
    } | _rates(rounds)


def dear(rounds: list[Round]) -> Result:
    wall = middle(ratios(rounds, "ours_2_runners", "ours", wall_rate))
    return {"two_runners_wall": wall} | _rates(rounds)


VERDICTS = {"cartpole": cartpole, "cartpole_64": cartpole, "causal": causal, "dear": dear}
VERDICTS |= dict.fromkeys(["lander", "cheetah", "breakout"], against_sb3)


def _rates(rounds: list[Round]) -> Result:
    return {"steps_per_cpu_s": {n: middle([rate(r[n]) for r in rounds]) for n in rounds[0]}}


def table(task: str, rounds: list[Round]) -> str:
    """A row for each contestant: median (least to most) over the rounds."""
    heads = ["steps per CPU second", "steps per second", "ours / it", "CPU seconds to the goal"]
    rows = [[f"{task}, seeds: {len(rounds)}", *heads]]
    for name in rounds[0]:
        times = [t for r in rounds if (t := r[name].get("cpu_s_to_475")) is not None]
        rows.append(
            [
                name,
                spread([rate(r[name]) for r in rounds]),
                spread([wall_rate(r[name]) for r in rounds]),
                spread(ratios(rounds, "ours", name)),
                spread(times),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    for name in ("ours", "sb3", "rllib"):
        if name in rounds[0]:
            curve = ["-" if x is None else f"{x:g}" for x in mean_curve(rounds, name)]
            lines.append(f"return by iteration, {name}: {' '.join(curve)}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    main()
