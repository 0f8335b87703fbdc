# pyright: basic
"""Stop rules and pruners, each asked about learning curves one point after another.

Rungwise judges as in a sweep of programs: ``SweepHealth`` and ``find_stop``. Optuna and Ray Tune
are asked by their own classes, one trial after another and without a process of theirs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.stopper import TrialPlateauStopper

from rungwise.health import RULES, History, diagnose
from rungwise.health.metric_table import MetricTable
from rungwise.health.rule import Rule
from rungwise.run_log.events import PROGRAM
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.program_settings import ProgramSettings
from tune_jobs.stopping.stop_rules import TrialObservation, find_stop
from tune_jobs.stopping.sweep_health import SweepHealth

POINTS = 10
EPISODES = 128.0
"""Evaluation episodes that each point is the mean of."""


@dataclass(frozen=True)
class Verdict:
    """What was said of a run before its last point."""

    point: int = 0
    """The point after which it was stopped; 0 where it was not."""
    rule: str = ""
    """The rule that stopped it; empty where none did."""
    warned: int = 0
    """The point at which it was first warned of or stopped; 0 by methods that only stop."""


Judge = Callable[[Sequence[np.ndarray]], Iterator[Verdict]]
"""Curves of a sweep, [points] each, in the order of its trials -> a verdict of each."""


def judge_by_product(
    curves: Sequence[np.ndarray], iterations: int, patience: int = 0
) -> Iterator[Verdict]:
    """Judge runs with a budget of ``iterations``, scored ten times, by the rules of Rungwise."""
    job = Job(
        env="train",
        algo=PROGRAM,
        settings=ProgramSettings(command="train", budget=iterations),
        metric="return_mean",
        mode="max",
        iterations=iterations,
        patience=patience,
    )
    health, apart = SweepHealth(job), iterations // POINTS
    for trial, curve in enumerate(curves):
        warned, verdict = 0, None
        for point, value in enumerate(curve[:-1], 1):
            # Judged only where there is a score: other rows repeat the verdict of the row before.
            for iteration in range(apart * (point - 1) + 1, apart * point):
                health.add_result(str(trial), iteration, 0, {})
            row = {"return_mean": float(value), "episodes": EPISODES}
            health.add_result(str(trial), apart * point, 0, row)
            findings, _ = health.judge(str(trial))
            if not warned and any(finding.severity != "note" for finding in findings):
                warned = point
            verdict = find_stop(
                TrialObservation(
                    job=job,
                    directory=Path("no requests"),
                    trial=str(trial),
                    iteration=apart * point,
                    score=float(value),
                    is_last=False,
                    fault="",
                    history=health.get_history(str(trial)),
                    findings=findings,
                    compare_with_siblings=health.compare_with_siblings,
                )
            )
            if verdict is not None:
                by_health = verdict.reason == "health"
                rule = verdict.sentence.partition(":")[0] if by_health else verdict.reason
                yield Verdict(point, rule, warned)
                break
        else:
            yield Verdict(warned=warned)


def judge_by_returns(
    curves: Sequence[np.ndarray],
    *,
    first: int = 1,
    every: int = 1,
    each_from: float = 1.0,
    budgets: float = 1.0,
    rules: Mapping[str, Rule] = RULES,
) -> Iterator[Verdict]:
    """Judge each run by itself, from its ``first`` point on at every ``every``-th before its last.

    Args:
        curves: returns; the length of each is its budget.
        first: the first point that is judged.
        every: points from one judgement to the next.
        each_from: the share of a run from which on each point is judged.
        budgets: the budget of a run, as a multiple of its length.
        rules: that judge.
    """
    for curve in curves:
        rows, verdict, warned = MetricTable(), Verdict(), 0
        for point, value in enumerate(curve[:-1], 1):
            rows.append({"iteration": point, "return_mean": float(value)})
            is_due = point >= each_from * len(curve) or (point - first) % every == 0
            if point < first or not is_due:
                continue
            history = History(rows, round(budgets * len(curve)), "return_mean")
            diagnosis = diagnose(history, rules=rules)
            if not warned and any(f.severity != "note" for f in diagnosis.findings):
                warned = point
            if diagnosis.stop is not None:
                verdict = Verdict(point, diagnosis.stop.symptom)
                break
        yield replace(verdict, warned=warned)


def judge_by_optuna(
    curves: Sequence[np.ndarray],
    make_pruner: Callable[[], BasePruner],
    first: int = 1,
    every: int = 1,
) -> Iterator[Verdict]:
    """Judge a sweep by a pruner of Optuna, asked as in :func:`judge_by_returns`."""
    # Hyperband draws the bracket of a trial from the name of its study.
    study = optuna.create_study(study_name="sweep", direction="maximize", pruner=make_pruner())
    for curve in curves:
        asked = range(first, len(curve), every)
        trial, verdict = study.ask(), Verdict()
        for point, value in enumerate(curve, 1):
            trial.report(float(value), point)
            if point in asked and trial.should_prune():
                verdict = Verdict(point, "pruned")
                break
        if verdict.rule:
            study.tell(trial, state=TrialState.PRUNED)
        elif np.isnan(curve[-1]):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, float(curve[-1]))
        yield verdict


def judge_by_plateau_stopper(curves: Sequence[np.ndarray]) -> Iterator[Verdict]:
    """Judge each run by Tune's TrialPlateauStopper with its defaults."""
    stopper = TrialPlateauStopper("score")
    for trial, curve in enumerate(curves):
        stops = (stopper(str(trial), {"score": value}) for value in curve[:-1])
        point = next((point for point, stop in enumerate(stops, 1) if stop), 0)
        yield Verdict(point, "stopped" if point else "")


@dataclass(frozen=True)
class TuneTrial:
    """What the schedulers of Tune read of a trial."""

    trial_id: str


class OneTrialAtATime:
    """What the schedulers of Tune ask of a sweep."""

    def get_live_trials(self) -> list[TuneTrial]:
        """Return the trials that wait: none."""
        return []


def judge_by_tune(
    curves: Sequence[np.ndarray], make_scheduler: Callable[..., TrialScheduler]
) -> Iterator[Verdict]:
    """Judge a sweep by a scheduler of Tune."""
    scheduler: Any = make_scheduler("training_iteration", "score", "max", grace_period=1)
    sweep = OneTrialAtATime()
    for number, curve in enumerate(curves):
        trial, verdict = TuneTrial(str(number)), Verdict()
        scheduler.on_trial_add(sweep, trial)
        results = [{"training_iteration": i, "score": v} for i, v in enumerate(curve, 1)]
        for point, result in enumerate(results[:-1], 1):
            if scheduler.on_trial_result(sweep, trial, result) == TrialScheduler.STOP:
                verdict = Verdict(point, "stopped")
                break
        else:
            scheduler.on_trial_complete(sweep, trial, results[-1])
        yield verdict


def make_peers(points: int, first: int = 1, every: int = 1) -> dict[str, Judge]:
    """Return the methods of Optuna and Tune for curves of at most ``points`` points.

    They have their defaults where there is one, counted in points.
    """
    pruners: dict[str, Callable[[], BasePruner]] = {
        "Optuna `MedianPruner`": MedianPruner,
        "Optuna `PatientPruner`, patience 3": partial(PatientPruner, None, patience=3),
        "Optuna `PatientPruner`, of `MedianPruner`": lambda: PatientPruner(
            MedianPruner(), patience=1
        ),
        "Optuna `SuccessiveHalvingPruner`": SuccessiveHalvingPruner,
        "Optuna `HyperbandPruner`": partial(HyperbandPruner, max_resource=points),
    }
    return {
        "Tune `TrialPlateauStopper`": judge_by_plateau_stopper,
        "Tune `MedianStoppingRule`": partial(judge_by_tune, make_scheduler=MedianStoppingRule),
        "Tune `ASHAScheduler`": partial(
            judge_by_tune, make_scheduler=partial(ASHAScheduler, max_t=points)
        ),
        **{
            name: partial(judge_by_optuna, make_pruner=pruner, first=first, every=every)
            for name, pruner in pruners.items()
        },
    }


METHODS: dict[str, Judge] = {
    "Rungwise, 100 iterations": partial(judge_by_product, iterations=100),
    "Rungwise, 10 iterations": partial(judge_by_product, iterations=10),
    "Rungwise, 10 iterations, `patience: 3`": partial(judge_by_product, iterations=10, patience=3),
    **make_peers(POINTS),
}
"""By name, those of curves of ten points."""
