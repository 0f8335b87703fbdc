# pyright: basic
"""Unchanged programs of ten libraries under ``rungwise watch``, healthy and with faults.

PYTHONPATH=tests python -m benchmarks.watched --to FOLDER --cleanrl PATH/ppo.py \
    --pythonpath skrl_ppo=FOLDER_OF_SKRL:FOLDER_OF_TENSORBOARD [--only sb3_ppo bandit] \
    [--faults "" nan-reward]

Each run takes about half a minute of a core, one at a time; what is in FOLDER already is not run
again; ``--faults ""`` is the healthy run, ``--faults`` alone runs nothing. Prints a Markdown table
of all that is there, with the mean return of the last tenth: a fault that lets a run reach what it
reaches without has done no harm. The libraries are no dependencies of Rungwise: say with
``--pythonpath`` where those are that are not installed. CleanRL's script needs gymnasium 0.29.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cluster.commands.watch_command  # noqa: F401
import tune_jobs.session.program_session  # noqa: F401
from cluster.cli import main as main_of_rungwise
from rungwise.health.improvement import keep_finite
from rungwise.health.metric_table import MetricTable
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import EndRow, FindingRow, ResultRow

PROGRAMS_FOLDER = Path(__file__).parent / "programs"
NAMES = {
    "nan-reward": {"not_finite"},
    "constant-reward": {"constant_reward", "zero_reward", "groups_without_signal"},
    "learning rate x 100": {
        *("kl_runaway", "learning_rate_too_high", "entropy_collapse", "std_blowup", "not_finite"),
        *("performance_collapse", "no_improvement", "value_divergence", "frozen_policy"),
        *("no_exploration", "reward_scale"),
    },
    "entropy coefficient 5": {"entropy_stuck_at_max", "std_blowup", "no_improvement"},
    "endless": {"no_episode_ends"},
}
"""The findings that are right for each fault."""
END_WORDS = {"health": "ended", "budget": "whole", "error": "its own error"}
NAN, CONSTANT, LR, ENTROPY, ENDLESS = NAMES


@dataclass(frozen=True)
class Program:
    """A program, and how far it goes."""

    name: str
    library: str
    """The distribution that trains; empty for none."""
    lr: float
    """The healthy learning rate."""
    budget: int
    """Environment steps, or rows where its log does not count those."""
    faults: tuple[str, ...] = tuple(NAMES)

    def make_command(self, fault: str, cleanrl: str) -> list[str]:
        """Return the program with the flags of a fault, or healthy ones."""
        flags = ["--lr", f"{self.lr * (100 if fault == LR else 1):g}"]
        flags += ["--ent-coef", "5"] if fault == ENTROPY else []
        environment = fault if fault in (NAN, CONSTANT, ENDLESS) else "none"
        if self.name == "cleanrl_ppo":
            flags[0] = "--learning-rate"
            flags += ["--env-id", f"environments:CartPole-{environment}-v0"]
            flags += ["--total-timesteps", str(self.budget), "--num-steps", "64"]
            return [sys.executable, cleanrl, *flags]
        flags += ["--fault", environment]
        if self.name == "bandit":
            return ["bash", str(PROGRAMS_FOLDER / "bandit.sh"), *flags]
        return [sys.executable, str(PROGRAMS_FOLDER / f"{self.name}.py"), *flags]


PROGRAMS = {
    program.name: program
    for program in (
        Program("sb3_ppo", "stable-baselines3", 1e-3, 20_480),
        Program("sb3_dqn", "stable-baselines3", 2.3e-3, 24_000, (NAN, CONSTANT, LR, ENDLESS)),
        Program("cleanrl_ppo", "", 1e-3, 20_480),
        Program("skrl_ppo", "skrl", 3e-3, 80),
        Program("rsl_rl_ppo", "rsl-rl-lib", 3e-3, 80),
        Program("tianshou_ppo", "tianshou", 1e-3, 10_240),
        Program("torchrl_ppo", "torchrl", 1e-3, 20_480),
        Program("rllib_ppo", "ray", 1e-3, 16_384),
        Program("trl_grpo", "trl", 1e-2, 256, (NAN, CONSTANT, LR, ENTROPY)),
        Program("bandit", "", 2.0, 9_600, (NAN, CONSTANT, LR, ENTROPY)),
    )
}


def run(program: Program, fault: str, to: Path, cleanrl: str, pythonpath: str) -> None:
    """Watch one run, and write what became of it."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    paths = [str(PROGRAMS_FOLDER), pythonpath]
    command = program.make_command(fault, cleanrl)
    watch = ["watch", "--out", "run", "--budget", str(program.budget)]
    began = time.monotonic()
    # Forked: half of the time of such a short run would be the imports of Rungwise.
    process = multiprocessing.get_context("fork").Process(
        target=call_rungwise,
        args=(to, ":".join(filter(None, paths)), [*watch, "--", *command]),
    )
    process.start()
    process.join()
    end = {"status": process.exitcode, "seconds": round(time.monotonic() - began)}
    (to / "end.json").write_text(json.dumps(end))


def call_rungwise(folder: Path, pythonpath: str, words: list[str]) -> None:
    """Run a command line of Rungwise in a folder, with its output in a file."""
    os.chdir(folder)
    os.environ["PYTHONPATH"] = pythonpath  # of the program: Rungwise is imported already
    log = os.open("watch.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    main_of_rungwise(words)


def describe(program: Program, fault: str, to: Path) -> dict[str, str]:
    """Return what became of a run: its end, its findings, the share of its budget, its time."""
    end = json.loads((to / "end.json").read_text())
    rows = read_event_log(to / "run" / "events.jsonl")
    findings = [row for row in rows if isinstance(row, FindingRow) and not row.withdrawn]
    results = [row for row in rows if isinstance(row, ResultRow)]
    seen = dict.fromkeys(f"{row.symptom} ({row.severity})" for row in findings)
    last = max((row.iteration for row in results), default=0)
    returns = keep_finite(MetricTable.from_rows([r.metrics for r in results]).column("return_mean"))
    level = f"{returns[-math.ceil(returns.size / 10) :].mean():.3g}" if returns.size else ""
    ends = [row for row in rows if isinstance(row, EndRow)]
    right = "yes" if any(row.symptom in NAMES.get(fault, ()) for row in findings) else "**no**"
    reason = ends[-1].reason if ends else f"status {end['status']}"
    if reason == "error" and right != "yes" and "nan" in ends[-1].sentence.casefold():
        right = "by its error"
    return {
        "end": END_WORDS.get(reason, reason),
        "findings": ", ".join(seen) or "none",
        "right": right if fault else "",
        "share": f"{last} %",
        "return": level,
        "seconds": str(end["seconds"]),
    }


def find_folder(to: Path, program: Program, fault: str) -> Path:
    """Return the folder of a run."""
    return to.absolute() / program.name / (fault or "healthy").replace(" ", "-")


def find_version(program: Program, cleanrl: str, pythonpath: str) -> str:
    """Return the library's name and version."""
    if program.name == "cleanrl_ppo":
        return f"ppo.py, SHA-256 {hashlib.sha256(Path(cleanrl).read_bytes()).hexdigest()[:8]}"
    if not program.library:
        return "bash, awk"
    code = f"from importlib.metadata import version; print(version({program.library!r}))"
    env = os.environ | {"PYTHONPATH": pythonpath}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    return f"{program.library} {done.stdout.strip() or 'unknown'}"


def parse_programs(doc: str | None, programs: list[str]) -> argparse.Namespace:
    """The flags of a benchmark that runs programs; ``pythonpath`` is by program."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--only", nargs="*", default=programs, choices=programs)
    parser.add_argument("--cleanrl", default="ppo.py", help="CleanRL's ppo.py")
    parser.add_argument("--pythonpath", action="append", default=[], help="PROGRAM=FOLDERS")
    parser.add_argument("--faults", nargs="*", default=["", *NAMES], choices=["", *NAMES])
    args = parser.parse_args()
    args.pythonpath = dict(text.split("=", 1) for text in args.pythonpath)
    return args


def main() -> None:
    args = parse_programs(__doc__, list(PROGRAMS))
    pythonpaths = args.pythonpath
    for fault in args.faults:
        for program in (PROGRAMS[name] for name in args.only):
            to = find_folder(args.to, program, fault)
            if fault in ("", *program.faults) and not (to / "end.json").exists():
                run(program, fault, to, args.cleanrl, pythonpaths.get(program.name, ""))
                print(program.name, describe(program, fault, to), file=sys.stderr, flush=True)
    print("| program | library | fault | end | at | return | findings | right | s |")
    print("| --- | --- | --- | --- | ---: | ---: | --- | --- | ---: |")
    for program in (PROGRAMS[name] for name in args.only):
        library = find_version(program, args.cleanrl, pythonpaths.get(program.name, ""))
        for fault in ("", *program.faults):
            to = find_folder(args.to, program, fault)
            if (to / "end.json").exists():
                row = describe(program, fault, to)
                cells = [row[c] for c in ("end", "share", "return", "findings", "right", "seconds")]
                print(f"| {' | '.join([program.name, library, fault or 'healthy', *cells])} |")


if __name__ == "__main__":
    main()
