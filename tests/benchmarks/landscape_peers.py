# pyright: basic
"""Optuna's TPE with its pruners, Tune's Hyperband and median stopping, over a recorded table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import optuna
from ray.tune.schedulers import HyperBandScheduler, MedianStoppingRule, TrialScheduler

from benchmarks.replays import FullRuns

optuna.logging.set_verbosity(optuna.logging.ERROR)
LOG_RATIO = 50
"""Largest over smallest value of a positive setting from which it is searched on a log scale."""
PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "none": lambda points: optuna.pruners.NopPruner(),
    "halving": lambda points: optuna.pruners.SuccessiveHalvingPruner(1, 3),
    "hyperband": lambda points: optuna.pruners.HyperbandPruner(1, points, 3),
    "wilcoxon": lambda points: optuna.pruners.WilcoxonPruner(),
}
"""By the results of a whole trial."""

NOTHING_PAUSED = SimpleNamespace(get_live_trials=list)
"""What the median stopping rule asks of Tune."""


class Proposable(Protocol):
    """Settings that can be proposed, each of which has been trained; a ``Table`` is one."""

    @property
    def settings(self) -> np.ndarray:
        """``[settings, names]``, as text."""
        ...

    def run(self, setting: int, name: str, rng: np.random.Generator) -> Any:
        """A training with that setting."""
        ...


@dataclass(eq=False)
class TuneTrial:
    """What a scheduler of Tune knows of a trial."""

    trial_id: str
    status: str = "RUNNING"
    is_saving: bool = False


class MedianStopping(FullRuns):
    """Tune's median stopping rule with its defaults, but for a grace of one point."""

    def __init__(self) -> None:
        self.rule = MedianStoppingRule("iteration", "score", "max", grace_period=1)

    def goes_on(self, trial: Any, index: int) -> bool:
        result = vars(trial.results[index])
        said = self.rule.on_trial_result(NOTHING_PAUSED, TuneTrial(trial.id), result)  # type: ignore[arg-type]
        return super().goes_on(trial, index) and said == TrialScheduler.CONTINUE


class Hyperband(FullRuns):
    """Tune's synchronous Hyperband; trials wait until their bracket is halved."""

    def __init__(self) -> None:
        self.scheduler = HyperBandScheduler("iteration", "score", "max", max_t=10)
        self.known: dict[str, TuneTrial] = {}

    def stop_trial(self, trial: TuneTrial) -> None:
        """As Tune's controller does for a trial that is paused."""
        trial.status = "TERMINATED"
        self.scheduler.on_trial_remove(self, trial)  # type: ignore[arg-type]

    def goes_on(self, trial: Any, index: int) -> bool:
        if trial.id not in self.known:
            self.known[trial.id] = TuneTrial(trial.id)
            self.scheduler.on_trial_add(self, self.known[trial.id])  # type: ignore[arg-type]
        known, row = self.known[trial.id], trial.results[index]
        # Not a number compares with nothing: as Optuna, it ends the trial.
        ended = not super().goes_on(trial, index) or not np.isfinite(row.score)
        said = TrialScheduler.STOP
        if not ended:
            said = self.scheduler.on_trial_result(self, known, vars(row))  # type: ignore[arg-type]
        if said == TrialScheduler.STOP:
            known.status = "TERMINATED"
            self.scheduler.on_trial_complete(self, known, {})  # type: ignore[arg-type]
        elif said == TrialScheduler.PAUSE:
            known.status = "PAUSED"
        return said == TrialScheduler.CONTINUE

    def called(self) -> str | None:
        trial: Any = self.scheduler.choose_trial_to_run(self)  # type: ignore[arg-type]
        if trial is None:
            return None
        trial.status = "RUNNING"
        return trial.trial_id


class OptunaSearch(FullRuns):
    """TPE proposes, and a pruner stops; a proposal is the nearest setting not yet tried."""

    def __init__(
        self, table: Proposable, pruner: str, rng: np.random.Generator, points: int = 10
    ) -> None:
        self.table, self.rng = table, rng
        self.axes = encode(table)
        self.started: list[Any] = []
        self.free = np.ones(len(table.settings), bool)
        seed = int(rng.integers(2**31))
        self.study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
            pruner=PRUNERS[pruner](points),
        )
        self.asked: dict[str, optuna.Trial] = {}

    def trials(self) -> Iterator[Any]:
        while self.free.any():
            asked = self.study.ask()
            point = np.array([asked.suggest_float(f"{i}", 0, 1) for i in range(self.axes.shape[1])])
            away = np.where(self.free, ((self.axes - point) ** 2).sum(1), np.inf)
            setting = int(away.argmin())
            self.free[setting] = False
            trial = self.table.run(setting, f"{len(self.started):03d}", self.rng)
            self.started.append(trial)
            self.asked[trial.id] = asked
            yield trial

    def goes_on(self, trial: Any, index: int) -> bool:
        asked, score = self.asked[trial.id], trial.results[index].score
        states = optuna.trial.TrialState
        if not np.isfinite(score):
            self.study.tell(asked, state=states.FAIL)
            return False
        asked.report(score, index + 1)
        if not super().goes_on(trial, index):
            self.study.tell(asked, score)
            return False
        if asked.should_prune():
            self.study.tell(asked, state=states.PRUNED)
            return False
        return True


def encode(table: Proposable) -> np.ndarray:
    """The settings of a table from 0 to 1, ``[settings, columns]``; choices one column a value."""
    columns = []
    for texts in table.settings.T:
        try:
            values = texts.astype(float)
        except ValueError:
            columns += [(texts == value).astype(float) for value in np.unique(texts)]
            continue
        known = values[np.isfinite(values)]
        if known.min() > 0 and known.max() / known.min() >= LOG_RATIO:
            values = np.log(values)
        values = np.nan_to_num(values, nan=np.nanmean(values))
        columns.append((values - values.min()) / (np.ptp(values) or 1.0))
    return np.stack(columns, 1)
