# pyright: basic
"""What every contestant does alike: read its arguments, measure its iterations, tell the result."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.settings import TASKS, Task


@dataclass(frozen=True)
class Asked:
    """What this process is to run."""

    name: str
    task: Task
    seed: int
    runners: int
    batched: bool


def asked() -> Asked:
    """The command line of a contestant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="contestant", help="what the result is called")
    parser.add_argument("--task", choices=TASKS, default="cartpole")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--copies", type=int, help="copies of the environment (B)")
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--runners", type=int, default=0, help="remote runners (ours only)")
    parser.add_argument("--batched", action="store_true", help="our batched environment (RLlib)")
    args = parser.parse_args()
    changed = {"copies": args.copies, "iterations": args.iterations}
    task = replace(TASKS[args.task], **{k: v for k, v in changed.items() if v is not None})
    return Asked(args.name, task, args.seed, args.runners, args.batched)


class Meter:
    """Counts steps and seconds of whole iterations: collecting and learning.

    Made right before the first step, so that imports and the start of Ray do not count.
    ``process_time`` counts all threads of this process, those of RLlib and Ray included.
    """

    def __init__(self, asked: Asked, cpu: Callable[[], float] = time.process_time) -> None:
        self.asked, self.cpu = asked, cpu
        self.steps, self.returns = [0], []
        self.at = [(cpu(), time.perf_counter())]

    def iteration(self, env_steps: int, mean_return: float | None) -> None:
        """An iteration is over: its steps, and the mean return of the episodes finished in it."""
        self.at.append((self.cpu(), time.perf_counter()))
        self.steps.append(env_steps)
        self.returns.append(None if mean_return is None else round(mean_return, 2))

    def report(self, **more: Any) -> None:
        """Print the one JSON line."""
        (start_cpu, _), (warm_cpu, warm_wall), (cpu, wall) = self.at[0], self.at[1], self.at[-1]
        told = {
            "contestant": self.asked.name,
            "env_steps": sum(self.steps[2:]),
            "cpu_s": cpu - warm_cpu,
            "wall_s": wall - warm_wall,
            "returns": self.returns,
        }
        goal = self.asked.task.goal
        if goal is not None:
            solved = [i for i, r in enumerate(self.returns, 1) if r is not None and r >= goal]
            told["cpu_s_to_475"] = self.at[solved[0]][0] - start_cpu if solved else None
        print(json.dumps(told | more), flush=True)
