# pyright: basic
"""Runs of the product on environments that are not ours, recorded once and judged again and again.

``python -m benchmarks.recorded_runs FOLDER`` trains them all by ``rungwise train``, with every rule
held to a warning so that the whole curve exists, and packs what the rules read into the archive.
``make bench-health BENCH=--recorded`` judges every beginning of each of them as a live run would:
no rule may end a run that goes on to learn.
"""

import json
import lzma
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algos.metrics import METRICS
from tune_jobs.health import RULES, History, diagnose
from tune_jobs.health.metric_table import MetricTable
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.run_log.event_log import read_event_log
from tune_jobs.run_log.events import JobRow, ResultRow

ARCHIVE = Path(__file__).parents[1] / "data" / "recorded_runs.json.xz"
RULES_FOLDER = Path(__file__).parents[2] / "tune_jobs" / "health"
DIGITS = 4
"""Significant digits that are kept of a number."""

GUESS = "benchmarks.sparse_worlds:LastGuess-v0"
RUNS = {
    "pendulum-1": ("Pendulum-v1", 1, 100, "normalise-rewards"),
    "pendulum-2": ("Pendulum-v1", 2, 100, "normalise-rewards"),
    "pendulum-3": ("Pendulum-v1", 3, 100, "normalise-rewards lr=1e-3"),
    "pendulum-4": ("Pendulum-v1", 4, 60,
        "normalise-rewards num-envs=4 rollout-length=200 lr=2e-3 gamma=0.9"),
    "acrobot-1": ("Acrobot-v1", 1, 60, "num-envs=8 lr=1e-3"),
    "acrobot-2": ("Acrobot-v1", 2, 80, ""),
    "acrobot-3": ("Acrobot-v1", 3, 60, "num-envs=4 rollout-length=256 lr=1e-3"),
    "cartpole-1": ("CartPole-v1", 1, 60, "num-envs=2 rollout-length=128 lr=1e-3"),
    "mcc-1": ("MountainCarContinuous-v0", 1, 60,
        "num-envs=16 rollout-length=256 gamma=0.999 lr=1e-3"),
    "lander-1": ("LunarLander-v3", 1, 100, "num-envs=16 lr=1e-3"),
    "lander-2": ("LunarLander-v3", 2, 100, ""),
    "lander-3": ("LunarLander-v3", 3, 80, "num-envs=16 lr=1e-3 normalise-rewards epochs=8"),
    "lander-4": ("LunarLander-v3", 4, 60, "num-envs=4 lr=2e-3 normalise-rewards"),
    "landercont-1": ("LunarLanderContinuous-v3", 1, 80, "num-envs=16 lr=1e-3 normalise-rewards"),
    "landercont-2": ("LunarLanderContinuous-v3", 2, 60, "num-envs=8 lr=1e-3 normalise-rewards"),
    "bipedal-1": ("BipedalWalker-v3", 1, 80,
        "num-envs=16 rollout-length=256 lr=1e-3 normalise-rewards"),
    "bipedal-2": ("BipedalWalker-v3", 2, 60,
        "num-envs=8 rollout-length=256 lr=1e-3 epochs=8 normalise-rewards"),
    "invpend-1": ("InvertedPendulum-v5", 1, 80, ""),
    "invpend-2": ("InvertedPendulum-v5", 2, 60, "lr=1e-3"),
    "invpend-3": ("InvertedPendulum-v5", 3, 80, "lr=3e-3"),
    "invdouble-1": ("InvertedDoublePendulum-v5", 1, 80, "normalise-rewards"),
    "invdouble-2": ("InvertedDoublePendulum-v5", 2, 60, "lr=1e-3 normalise-rewards"),
    "reacher-1": ("Reacher-v5", 1, 80, "num-envs=16 lr=1e-3 normalise-rewards"),
    "reacher-2": ("Reacher-v5", 2, 60, "num-envs=8 lr=1e-3"),
    "pusher-1": ("Pusher-v5", 1, 60, "num-envs=16 lr=1e-3 normalise-rewards"),
    "swimmer-1": ("Swimmer-v5", 1, 60,
        "num-envs=8 rollout-length=256 gamma=0.999 lr=1e-3 normalise-rewards"),
    "swimmer-2": ("Swimmer-v5", 2, 60,
        "num-envs=4 rollout-length=256 gamma=0.999 lr=2e-3 normalise-rewards"),
    "swimmer-3": ("Swimmer-v5", 3, 60, "num-envs=4 rollout-length=256 normalise-rewards"),
    "hopper-1": ("Hopper-v5", 1, 80, "num-envs=16 lr=1e-3 normalise-rewards"),
    "hopper-2": ("Hopper-v5", 2, 60, "num-envs=4 lr=1e-3 normalise-rewards"),
    "walker-1": ("Walker2d-v5", 1, 80, "num-envs=16 lr=1e-3 normalise-rewards"),
    "walker-2": ("Walker2d-v5", 2, 60, "num-envs=4 rollout-length=256 lr=1e-3 normalise-rewards"),
    "cheetah-1": ("HalfCheetah-v5", 1, 80,
        "num-envs=8 rollout-length=256 lr=1e-3 normalise-rewards"),
    "cheetah-2": ("HalfCheetah-v5", 2, 60,
        "num-envs=8 rollout-length=256 lr=3e-4 epochs=10 minibatch-size=64 normalise-rewards"),
    "cliff-1": ("CliffWalking-v1", 1, 60, "num-envs=16 lr=3e-3 normalise-rewards"),
    "taxi-1": ("Taxi-v3", 1, 100, "num-envs=16 lr=3e-3 normalise-rewards"),
    "frozenlake-1": ("FrozenLake-v1", 1, 60, "num-envs=8 lr=3e-3"),
    "guess-five": (GUESS, 5, 60, "num-envs=8 rollout-length=50 lr=5e-4"),
    "guess-mid": (GUESS, 3, 60, "num-envs=8 rollout-length=100 lr=5e-4"),
    "guess-slow": (GUESS, 1, 60, "num-envs=16 rollout-length=100 lr=1e-4"),
    "guess-slower": (GUESS, 2, 60, "num-envs=8 rollout-length=100 lr=1.5e-4"),
    "guess-warm": (GUESS, 1, 60, "num-envs=16 rollout-length=100 lr=6e-4 warmup=0.7"),
    "guess-fast": (GUESS, 1, 60, "num-envs=16 rollout-length=100 lr=3e-4"),
    "guess-faster": (GUESS, 1, 60, "num-envs=16 rollout-length=100 lr=1e-3"),
    "guess-late": (GUESS, 4, 60, "num-envs=8 rollout-length=100 lr=2e-3 warmup=0.95"),
    "guess-late-a": (GUESS, 5, 60,
        "num-envs=4 rollout-length=100 lr=2e-3 warmup=0.99 gamma=1.0"),
}  # fmt: skip
"""By name: environment, seed, iterations, and settings as ``rungwise train`` takes them."""


@dataclass(frozen=True)
class Recording:
    """One run as it was recorded."""

    name: str
    budget: int
    settings: dict
    rows: list[dict]

    @property
    def learnt(self) -> bool:
        """Whether it ends well: above its start, by its returns alone."""
        return bool(course(self.rows)["learnt"])


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a run, iteration by iteration."""

    recording: Recording
    warned: dict[str, int]
    """The iteration of the first warning (or stop) of each symptom."""
    stopped: tuple[str, int] | None


def recordings() -> list[Recording]:
    """Everything in the archive."""
    packed = json.loads(lzma.decompress(ARCHIVE.read_bytes()))
    return [Recording(run["name"], run["budget"], run["settings"], _rows(run)) for run in packed]


def _rows(run) -> list[dict]:
    columns = run["columns"]
    rows = [
        {name: values[i] for name, values in columns.items() if values[i] is not None}
        for i in range(len(columns["iteration"]))
    ]
    # As a trial reports it: nothing in an iteration in which no episode finished.
    return [row | {"score": row["return_mean"]} if "return_mean" in row else row for row in rows]


def course(rows):
    """The returns at the start and at the end, and whether something was learnt and kept.

    A run meant to be healthy that has lost most of its gain is no healthy one, whatever the rules
    say: it is counted apart.
    """
    r = np.array([row.get("return_mean", np.nan) for row in rows], np.float64)
    r = r[np.isfinite(r)]
    if r.size < 10:
        return {"start": None, "end": None, "learnt": False}
    few = max(3, r.size // 10)
    start, end = float(r[:few].mean()), float(np.median(r[-2 * few :]))
    best = float(np.median(np.lib.stride_tricks.sliding_window_view(r, few), axis=1).max())
    learnt = end - start > max(0.3 * (best - start), 0.1 * max(abs(start), abs(end)))
    return {"start": start, "end": end, "learnt": learnt}


def judged(recording: Recording) -> Verdict:
    """Look at a run after each of its iterations."""
    rows, warned, stopped = MetricTable(), {}, None
    for row in recording.rows:
        rows.append(row)
        at = int(row["iteration"])
        diagnosis = diagnose(History(rows, recording.budget, settings=recording.settings))
        for finding in diagnosis.findings:
            if finding.severity != "note":
                warned.setdefault(finding.symptom, at)
        if diagnosis.stop and not stopped:
            stopped = (diagnosis.stop.symptom, at)
    return Verdict(recording, warned, stopped)


def summary(verdicts: list[Verdict]) -> dict:
    """The figures of all runs; those that did not learn are counted apart."""
    well = [v for v in verdicts if v.recording.learnt]
    return {
        "runs": len(verdicts),
        "healthy": len(well),
        "false_stops": sum(v.stopped is not None for v in well),
        "warned": sum(bool(v.warned) for v in well),
        "not_learnt": len(verdicts) - len(well),
    }


def table(verdicts: list[Verdict]) -> str:
    """A line for each run."""
    lines = []
    for v in verdicts:
        returns = [row["return_mean"] for row in v.recording.rows if "return_mean" in row]
        ends = [np.mean(part) for part in (returns[:5], returns[-5:])]
        names = ", ".join(f"{name} at {at}" for name, at in v.warned.items()) or "nothing"
        stop = f"; stopped at {v.stopped[1]} by {v.stopped[0]}" if v.stopped else ""
        kind = "well" if v.recording.learnt else "not learnt"
        lines.append(
            f"{kind:10} {v.recording.name:24} {ends[0]:8.4g} to {ends[1]:8.4g} in "
            f"{v.recording.budget}: {names}{stop}"
        )
    return "\n".join(lines)


def record(to: Path) -> None:
    """Train every run that is not in the folder yet, and pack them all."""
    limits = [word for symptom in RULES for word in (symptom, "warn")]
    packed = []
    for name, (env, seed, iterations, settings) in RUNS.items():
        if not (to / name).exists():
            words = ["train", "--env", env, "--seed", str(seed), "--iterations", str(iterations)]
            for setting in settings.split():
                flag, _, value = setting.partition("=")
                words += [f"--settings.{flag}", *([value] if value else [])]
            words += ["--out", str(to / name), "--cpus", "1", "--evaluation-episodes", "0"]
            words += ["--health", *limits]
            subprocess.run([str(Path(sys.executable).parent / "rungwise"), *words], check=True)
        packed.append(_packed(name, to / name))
    ARCHIVE.write_bytes(lzma.compress(json.dumps(packed).encode(), preset=9))


def _packed(name: str, run: Path) -> dict:
    events = read_event_log(run / "events.jsonl")
    budget = next(row.iterations for row in events if isinstance(row, JobRow))
    results = [row for row in events if isinstance(row, ResultRow)]
    rows = [r.metrics | {"iteration": r.iteration, "env_steps": r.env_steps} for r in results]
    # Constant from the first row to the last, so stored once.
    settings = {n: v for n, v in vars(load_job(str(run / "job.yaml")).settings).items()}
    columns = {n: [_short(row.get(n)) for row in rows] for n in ["iteration", *_read_by_rules()]}
    known = {n: c for n, c in columns.items() if any(value is not None for value in c)}
    return {"name": name, "budget": budget, "settings": settings, "columns": known}


def _read_by_rules() -> list[str]:
    """The metrics that any rule names."""
    source = "".join(path.read_text() for path in RULES_FOLDER.rglob("*.py"))
    return [name for name in METRICS if f'"{name}"' in source]


def _short(value):
    if isinstance(value, list):
        return [_short(entry) for entry in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


if __name__ == "__main__":
    record(Path(sys.argv[1]))
