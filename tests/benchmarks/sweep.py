# pyright: basic
"""What stopping early saves and what it costs: ``make bench-sweep``.

27 settings of PPO are run in full once, every one to its end. That record is then replayed under
each way of stopping: the same trials on the same number of workers, each iteration taking as long
as it took, in many orders of arrival. So all of them see the same luck, and what the full run's
best would have been is known. The winner of each is judged on fresh seeds. The last line is one
JSON object; ``vs_stock_wall`` is null, because a replay cannot say how fast another tool would have
trained. What changes its settings on the way cannot be replayed: ``--rerun`` trains under PBT and
under Optuna, once each.
"""

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from algos.policy import Policy
from benchmarks.replays import FullRuns, Stock
from rungwise.health import RULES, History, diagnose
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.score_noise import NoiseSource
from rungwise.run_log.trial_outcome import TrialOutcome, average_later_half
from tune_jobs.evaluation.evaluate import evaluate
from tune_jobs.jobs.budget import choose_first_rung
from tune_jobs.jobs.job import Job
from tune_jobs.schedulers.replay import (
    Replay,
    ReplayedHalving,
    StoppingWay,
    replay_trials,
)

TASKS = ("cartpole", "causal", "optimising")
JOBS: dict[str, dict[str, Any]] = {
    name: yaml.safe_load(Path(__file__).with_name(f"sweep_{name}.yaml").read_text())
    for name in TASKS
}
EPISODES, SEED, FINALS_SEED = 256, 2**20, 2**21
QUICK = ["--trials", "9", "--iterations", "9"]
RERUNS = {
    "PBT": ["--scheduler", "pbt", "--trials", "9"],
    "Optuna + our ASHA": ["--searcher", "optuna", "--scheduler", "asha"],
}


OTHERS = ("no stopping", "Ray's ASHA 3/3", "Ray's ASHA 1/3")
"""Ways whose winner has the best last score."""
FACTOR = Job.__dataclass_fields__["reduction_factor"].default
FINALISTS = Job.__dataclass_fields__["finalists"].default


def sick_at(outcome: Outcome) -> dict[str, int]:
    """Of each trial that the health rules would end, the place of the result after which."""
    found: dict[str, int] = {}
    job = outcome.job
    for trial in outcome.trials:
        rows = [row.metrics | {"iteration": row.iteration} for row in trial.results]
        for place in range(len(rows)):
            seen = rows[: place + 1]
            history = History(seen, job.iterations, job.metric, job.mode)  # type: ignore[arg-type]
            if any(f.severity == "stop" for f in diagnose(history, {}).findings):
                found[trial.id] = place
                break
    return found


def record(out: Path, words: list[str], job: dict[str, Any]) -> Outcome:
    """The full run, made where it does not exist yet; no rule may end a trial of it."""
    if not (out / "report.html").exists():
        tuned(job | {"health": dict.fromkeys(RULES, "warn")}, out, words)
    return Outcome.from_rows(read_event_log(out / "events.jsonl"))


def tuned(job: dict[str, Any], out: Path, words: list[str]) -> None:
    """Run a job."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "job.yaml"
        file.write_text(yaml.safe_dump(job))
        rungwise = str(Path(sys.executable).with_name("rungwise"))
        command = [rungwise, "tune", str(file), "--out", str(out), "--json", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def on_fresh_seeds(out: Path, trial: TrialOutcome, seed: int = SEED) -> float:
    """Mean score of a trial's policy over episodes that nothing else used."""
    policy = Policy.load(out / str(trial.checkpoint))
    evaluation = evaluate(policy, EPISODES, seed, with_baselines=False)
    return statistics.fmean(evaluation.episodes["policy"].metrics[evaluation.metric])


def rank(
    trials: list[TrialOutcome], reached: dict[str, int], sign: int, ranked_by: Callable[..., float]
) -> list[TrialOutcome]:
    """The trials as far as each came, the best first."""

    def value(trial: TrialOutcome) -> float:
        scores = [(row.iteration, row.score) for row in trial.results[: reached[trial.id]]]
        last = scores[-1][1]
        return sign * ranked_by(scores) if last is not None and math.isfinite(last) else -math.inf

    return sorted(trials, key=lambda trial: -value(trial))


def last_score(scores: list[tuple[int, float]]) -> float:
    return scores[-1][1]


def later_half(scores: list[tuple[int, float]]) -> float:
    return average_later_half([pair for pair in scores if pair[1] is not None], scores[-1][0])


def choose_finalist(
    trials: list[TrialOutcome], reached: dict[str, int], sign: int, finals: dict[str, float]
) -> TrialOutcome:
    """As `rungwise tune`, but a finalist that was stopped plays none: its policy was not kept."""
    finalists = rank(trials, reached, sign, later_half)[:FINALISTS]
    whole = [trial for trial in finalists if reached[trial.id] == len(trial.results)]
    return max(whole, key=lambda trial: sign * finals[trial.id], default=finalists[0])


def ways_of(outcome: Outcome) -> dict[str, Callable[[list[TrialOutcome]], StoppingWay]]:
    """The ways of stopping, by name; each makes a new one for trials in some order."""
    mode, iterations = outcome.job.mode, outcome.job.iterations
    sick, noise = sick_at(outcome), NoiseSource(outcome.job.metric, outcome.job.seeds)

    def ours(grace: int, factor: int, number: int = 1, **more) -> Callable[..., StoppingWay]:
        return lambda trials: ReplayedHalving(
            trials, mode, iterations, grace, factor, number, noise=noise, **more
        )

    return {
        "no stopping": lambda trials: FullRuns(),
        "Ray's ASHA 3/3": lambda trials: Stock(mode, iterations, 3, 3),
        "our ASHA 3/3": ours(3, 3),
        "our ASHA 3/3 + health": ours(3, 3, sick=sick),
        "our ASHA 3/3, 2 brackets": ours(3, 3, 2),
        "our ASHA 3/4": ours(3, 4),
        "Ray's ASHA 1/3": lambda trials: Stock(mode, iterations, 1, 3),
        "our ASHA 1/3": ours(1, 3),
        "our ASHA 1/3 + health": ours(1, 3, sick=sick),
        "our ASHA 1/3, 2 brackets": ours(1, 3, 2),
        "default + health": ours(choose_first_rung(iterations), FACTOR, sick=sick),
    }


def line(name: str, iterations: float, saved: float, wall: float, regrets: list[float]) -> str:
    """One way as a line of the table."""
    return (
        f"{name:26}{iterations:11,.0f}{saved:8.1%}{wall:9.1f}{statistics.fmean(regrets):9.2%}"
        f"{max(regrets):9.2%}"
    )


def main() -> None:
    """Record, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="9 settings of 9 iterations")
    parser.add_argument("--task", choices=JOBS, default="cartpole")
    parser.add_argument("--record", type=Path, help="run directory of the full run, kept for later")
    parser.add_argument("--seed", type=int, default=0, help="of the settings and their training")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--orders", type=int, default=40, help="of arrival")
    parser.add_argument("--rerun", action="store_true", help="also train under PBT and Optuna")
    asked = parser.parse_args()
    words = ["--seed", str(asked.seed), *(QUICK if asked.quick else [])]
    with tempfile.TemporaryDirectory() as place:
        out = asked.record or Path(place) / "full"
        outcome = record(out, words, JOBS[asked.task])
        trials, sign = list(outcome.trials), 1 if outcome.job.mode == "max" else -1
        fresh = {trial.id: on_fresh_seeds(out, trial) for trial in trials}
        finals = {trial.id: on_fresh_seeds(out, trial, FINALS_SEED) for trial in trials}
        best = max(fresh.values(), key=lambda score: sign * score)
        full = sum(trial.iterations for trial in trials)
        print(
            "Grace / reduction factor. Regret on fresh seeds against the best trial of the record,"
        )
        print(f"over {asked.orders} orders of arrival on {asked.workers} workers.")
        print(f"{'':26}{'iterations':>11}{'saved':>8}{'wall s':>9}{'regret':>9}{'worst':>9}")
        figures: dict[str, dict[str, float]] = {}
        for name, make in ways_of(outcome).items():
            done: list[Replay] = []
            regrets: list[float] = []
            for seed in range(asked.orders):
                order = list(trials)
                random.Random(seed).shuffle(order)
                done.append(replay_trials(order, make(order), asked.workers))
                reached = done[-1].reached
                if name in OTHERS:
                    won = rank(trials, reached, sign, last_score)[0]
                else:
                    won = choose_finalist(trials, reached, sign, finals)
                regrets.append(sign * (best - fresh[won.id]) / abs(best))
            mean = statistics.fmean(replayed.iterations for replayed in done)
            wall = statistics.fmean(replayed.wall_s for replayed in done)
            figures[name] = {
                "compute_saved": 1 - mean / full,
                "regret": statistics.fmean(regrets),
            }
            print(line(name, mean, 1 - mean / full, wall, regrets), flush=True)
        for name, changed in RERUNS.items() if asked.rerun else ():
            run = Path(place) / name.split()[0]
            tuned(JOBS[asked.task] | {"checkpoint_interval": 1}, run, [*words, *changed])
            ended = Outcome.from_rows(read_event_log(run / "events.jsonl"))
            score = on_fresh_seeds(run, ended.best)  # type: ignore[arg-type]
            ran, wall = ended.iterations_run, ended.end.seconds  # type: ignore[union-attr]
            regret = sign * (best - score) / abs(best)
            figures[name] = {"compute_saved": 1 - ran / full, "regret": regret}
            print(line(name, ran, 1 - ran / full, wall, [regret]), flush=True)
    print(json.dumps(figures["our ASHA 1/3 + health"] | {"vs_stock_wall": None, "ways": figures}))


if __name__ == "__main__":
    main()
