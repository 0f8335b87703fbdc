"""Settings that follow from what earlier trials came to: Optuna's sampler, fed with event rows.

The rows are all it knows, so a resumed run proposes as if it had never stopped. With one objective
it is the tree-structured Parzen estimator (Bergstra et al. 2011), which also learns from trials
that were ended early, by how far they came; with several it is the same for their Pareto front
(Ozaki et al. 2022).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envs.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.search_space import Space
from tune_jobs.run_log.events import EndRow, ResultRow, Row, TrialRow
from tune_jobs.run_log.outcome import CONTINUED
from tune_jobs.run_log.resume import TrialPlan, get_hang_report_dir

ENDED_EARLY = ("asha", "health")
REFUSALS = 100
"""How many proposals in a row the algorithm may refuse."""


def check_optuna() -> None:
    """Refuse to start without Optuna.

    Raises:
        InputError: saying how to install it.
    """
    try:
        import optuna  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise InputError(
            "searcher optuna needs Optuna: install it with `pip install 'rungwise[optuna]'`, or "
            "take searcher random."
        ) from None


class OptunaSampler:
    """Proposes the settings of the trials of a job that are not drawn yet.

    Args:
        job: with its metric and mode filled in.
        directory: of the run.
        earlier: the rows so far.
    """

    def __init__(self, job: Job, directory: Path, earlier: Iterable[Row]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.job, self.directory = job, directory
        self._optuna = optuna
        self._settings: dict[str, dict[str, Any]] = {}
        self._scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._last: dict[str, Mapping[str, Any]] = {}
        self._asked: dict[str, Any] = {}
        rows = list(earlier)
        drawn = sum(isinstance(row, TrialRow) for row in rows)
        directions = [job.mode, *job.objectives.values()]
        self._study = optuna.create_study(
            # Another seed after each resume: the same one would propose the first settings again.
            sampler=optuna.samplers.TPESampler(seed=job.seed * 1000 + drawn),
            directions=["maximize" if mode == "max" else "minimize" for mode in directions],
        )
        self._distributions = {n: _distribution(optuna, s) for n, s in job.search.items()}
        for row in rows:
            self.observe_row(row)

    @property
    def num_left(self) -> int:
        """How many trials are still to be proposed."""
        return self.job.trials - len(self._settings)

    def propose(self) -> TrialPlan:
        """The plan of the next trial.

        Raises:
            InputError: the algorithm refuses whatever is proposed.
        """
        states, refused = self._optuna.trial.TrialState, ""
        name = self.job.trial_ids[len(self._settings)]
        for _ in range(REFUSALS):
            asked = self._study.ask(self._distributions)
            drawn = {n: _value(self.job.search[n], v) for n, v in asked.params.items()}
            try:
                self.job.make_trial_settings(drawn)
            except InputError as error:
                refused = str(error)
                self._study.tell(asked, state=states.FAIL)
                continue
            self._asked[name] = asked
            return TrialPlan(name, drawn, str(get_hang_report_dir(self.directory, name)))
        raise InputError(f"{REFUSALS} settings in a row were refused, the last one so: {refused}")

    def observe_row(self, row: Row) -> None:
        """Learn from a row of the log."""
        if isinstance(row, TrialRow):
            self._settings[row.trial] = row.config
        elif isinstance(row, ResultRow):
            if row.score is not None and math.isfinite(row.score):
                self._scores[row.trial][row.iteration] = row.score
            self._last[row.trial] = row.metrics | {"score": row.score}
        elif isinstance(row, EndRow) and row.reason not in CONTINUED:
            self._learn(row.trial, row.reason)

    def _learn(self, trial: str, reason: str) -> None:
        states = self._optuna.trial.TrialState
        last = self._last.get(trial, {})
        values: list[Any] = [last.get(name) for name in ("score", *self.job.objectives)]
        known = all(isinstance(v, int | float) and math.isfinite(v) for v in values)
        state = states.COMPLETE if known else states.FAIL
        if reason in ENDED_EARLY:
            # With several objectives there is no telling how good an early end was.
            pruned = len(values) == 1 and self._scores[trial]
            state = states.PRUNED if pruned else states.FAIL
        reports = self._scores[trial] if len(values) == 1 else {}
        told = values if state is states.COMPLETE else None
        if asked := self._asked.pop(trial, None):
            for iteration, score in reports.items():
                asked.report(score, iteration)
            self._study.tell(asked, told, state)
            return
        search, config = self.job.search, self._settings[trial]
        self._study.add_trial(
            self._optuna.trial.create_trial(
                state=state,
                values=told,
                params={name: _coded(search[name], config[name]) for name in search},
                distributions=self._distributions,
                intermediate_values=reports,
            )
        )


def _distribution(optuna: Any, space: Space) -> Any:
    if space.kind == "choice":
        # By place: Optuna takes no lists as values.
        return optuna.distributions.CategoricalDistribution(range(len(space.values)))
    low, high = space.values
    if space.kind == "int":
        return optuna.distributions.IntDistribution(low, high)
    return optuna.distributions.FloatDistribution(low, high, log=space.kind == "loguniform")


def _value(space: Space, coded: Any) -> Any:
    return space.values[coded] if space.kind == "choice" else coded


def _coded(space: Space, value: Any) -> Any:
    """What Optuna knows a value by; a list read from a log was a tuple in the job."""
    if space.kind != "choice":
        return value
    return space.values.index(tuple(value) if isinstance(value, list) else value)
