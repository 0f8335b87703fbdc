# pyright: basic
"""What stopping early saves and what it costs: ``make bench-sweep``.

27 settings of PPO are run in full once, every one to its end. That record is then replayed under
each way of stopping: the same trials on the same number of workers, each iteration taking as long
as it took. So all of them see the same luck, and what the full run's best would have been is known.
The winner of each is judged on fresh seeds. The last line is one JSON object; ``vs_stock_wall`` is
null, because a replay cannot say how fast another tool would have trained.
"""

import argparse
import heapq
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import yaml
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from algos.policy import Policy
from tune_jobs.evaluate import evaluate
from tune_jobs.events import read
from tune_jobs.health import RULES, History, diagnose
from tune_jobs.outcome import Outcome
from tune_jobs.schedulers import Rungs
from tune_jobs.trial_outcome import TrialOutcome

JOB = Path(__file__).with_name("sweep_cartpole.yaml")
GRACE, FACTOR, WORKERS, EPISODES = 3, 3, 4, 64
QUICK = ["--trials", "9", "--iterations", "9"]

Judge = Callable[[TrialOutcome, int], bool]
"""Whether a trial goes on after its result of this place."""


@dataclass
class Replay:
    """What a way of stopping came to."""

    iterations: int
    wall_s: float
    reached: dict[str, int]
    """Iterations of each trial."""


def replay(trials: list[TrialOutcome], judge: Judge, workers: int = WORKERS) -> Replay:
    """Run recorded trials again in the order of their ids, each result at its own pace."""
    waiting = list(reversed(trials))
    running: list[tuple[float, str, int, TrialOutcome]] = []
    reached = {trial.id: 0 for trial in trials}
    wall = 0.0

    def begin(trial: TrialOutcome, place: int, now: float) -> None:
        rows = trial.results
        took = rows[place].seconds - (rows[place - 1].seconds if place else 0.0)
        heapq.heappush(running, (now + took, trial.id, place, trial))

    for _ in range(min(workers, len(waiting))):
        begin(waiting.pop(), 0, 0.0)
    while running:
        wall, name, place, trial = heapq.heappop(running)
        reached[name] = trial.results[place].iteration
        if judge(trial, place) and place + 1 < len(trial.results):
            begin(trial, place + 1, wall)
        elif waiting:
            begin(waiting.pop(), 0, wall)
    return Replay(sum(reached.values()), wall, reached)


def nothing() -> Judge:
    """Every trial to its end."""
    return lambda trial, place: True


def stock_asha(iterations: int) -> Judge:
    """Ray's own ASHA."""
    scheduler = AsyncHyperBandScheduler(
        time_attr="iteration",
        metric="score",
        mode="max",
        max_t=iterations,
        grace_period=GRACE,
        reduction_factor=FACTOR,
    )
    known: dict[str, SimpleNamespace] = {}

    def judge(trial: TrialOutcome, place: int) -> bool:
        if trial.id not in known:
            known[trial.id] = SimpleNamespace(trial_id=trial.id)
            scheduler.on_trial_add(None, known[trial.id])  # type: ignore[arg-type]
        row = trial.results[place]
        result = {"iteration": row.iteration, "score": row.score}
        said = scheduler.on_trial_result(None, known[trial.id], result)  # type: ignore[arg-type]
        return said == TrialScheduler.CONTINUE

    return judge


def our_asha(iterations: int) -> Judge:
    """The rungs of ``tune_jobs.schedulers``."""
    levels = [GRACE * FACTOR**k for k in range(20) if GRACE * FACTOR**k < iterations]
    rungs = Rungs(levels, "max", FACTOR)

    def judge(trial: TrialOutcome, place: int) -> bool:
        row = trial.results[place]
        score = math.nan if row.score is None else row.score
        decision = rungs.decide(trial.id, row.iteration, score)
        return decision is None or decision.keep

    return judge


def with_health(asha: Judge, iterations: int) -> Judge:
    """A way of stopping, and before it the health rules."""

    def judge(trial: TrialOutcome, place: int) -> bool:
        rows = [
            row.metrics | {"iteration": row.iteration, "score": row.score}
            for row in trial.results[: place + 1]
        ]
        found = diagnose(History(rows, iterations, mode="max"), {}).findings
        return not any(f.severity == "stop" for f in found) and asha(trial, place)

    return judge


def record(out: Path, words: list[str]) -> Outcome:
    """The full run, made where it does not exist yet; no rule may end a trial of it."""
    if not (out / "report.html").exists():
        job = yaml.safe_load(JOB.read_text()) | {"health": dict.fromkeys(RULES, "warn")}
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "full.yaml"
            file.write_text(yaml.safe_dump(job))
            rungwise = str(Path(sys.executable).with_name("rungwise"))
            command = [rungwise, "tune", str(file), "--out", str(out), "--json", *words]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Outcome.of(read(out / "events.jsonl"))


def on_fresh_seeds(outcome: Outcome, out: Path, trial: TrialOutcome) -> float:
    """Mean return of a trial's policy over episodes that nothing else used."""
    policy = Policy.load(out / str(trial.checkpoint))
    found, _, score = evaluate(policy, EPISODES, outcome.job.seed + 2**20, quick=True)
    return statistics.fmean(found["policy"].metrics[score])


def winner(trials: list[TrialOutcome], done: Replay) -> TrialOutcome:
    """The trial with the best last score, as far as each came."""

    def last(trial: TrialOutcome) -> float:
        score = next(r.score for r in trial.results if r.iteration == done.reached[trial.id])
        return score if score is not None and math.isfinite(score) else -math.inf

    return max(trials, key=last)


def main() -> None:
    """Record, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="9 settings of 9 iterations")
    parser.add_argument("--record", type=Path, help="run directory of the full run, kept for later")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        out = asked.record or Path(place) / "full"
        outcome = record(out, QUICK if asked.quick else [])
        trials, iterations = list(outcome.trials), outcome.job.iterations
        full = replay(trials, nothing())
        ways = {
            "no stopping": full,
            "Ray's ASHA": replay(trials, stock_asha(iterations)),
            "our ASHA": replay(trials, our_asha(iterations)),
            "our ASHA + health": replay(trials, with_health(our_asha(iterations), iterations)),
        }
        fresh = {trial.id: on_fresh_seeds(outcome, out, trial) for trial in trials}
    best = max(fresh.values())
    print(
        f"{'':20}{'iterations':>11}{'saved':>8}{'wall s':>9}{'winner':>8}{'fresh':>9}{'regret':>9}"
    )
    figures: dict[str, dict[str, float]] = {}
    for name, done in ways.items():
        won = winner(trials, done)
        saved, regret = 1 - done.iterations / full.iterations, (best - fresh[won.id]) / abs(best)
        figures[name] = {"compute_saved": saved, "regret": regret}
        print(
            f"{name:20}{done.iterations:11,}{saved:8.1%}{done.wall_s:9.1f}{won.id:>8}"
            f"{fresh[won.id]:9.1f}{regret:9.1%}"
        )
    print(json.dumps(figures["our ASHA + health"] | {"vs_stock_wall": None}))


if __name__ == "__main__":
    main()
