"""Optuna's sampler, fed with event rows: propose settings from the results of earlier trials.

The rows are its only input, so a resumed run proposes as if it had never been interrupted. It is
the tree-structured Parzen estimator (Bergstra et al. 2011), which also learns from trials that
ended early, by how far they came.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from rungwise.run_log.events import EndRow, ResultRow, Row, TrialEvent, TrialRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import CONTINUED
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.search_space import Space
from tune_jobs.jobs.trials import TrialPlan, derive_trial_seed, get_hang_report_dir

ENDED_EARLY = ("asha", "health")
REFUSALS = 100
"""Proposals in a row that the algorithm may refuse."""


def check_optuna() -> None:
    """Refuse to start without Optuna.

    Raises:
        InputError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise InputError(
            "searcher optuna needs Optuna: install it with `pip install 'rungwise[optuna]'`, or "
            "use searcher random."
        ) from None


class OptunaSampler:
    """Proposes the settings of the trials of a job that are not known before the start.

    Args:
        job: with its metric and mode filled in.
        directory: of the run.
        earlier: the event rows so far.
    """

    def __init__(self, job: Job, directory: Path, earlier: Iterable[Row]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.job, self.directory = job, directory
        self._optuna = optuna
        # The sampler knows the scores of their settings already: repeats teach nothing new.
        self._repeats = set[str]()
        self._settings: dict[str, dict[str, Any]] = {}
        self._scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._last_scores: dict[str, float] = {}
        self._proposals: dict[str, Any] = {}
        rows = list(earlier)
        num_known = sum(isinstance(row, TrialRow) for row in rows)
        self._study = optuna.create_study(
            # Another seed after each resume: the same one would propose the first settings again.
            sampler=optuna.samplers.TPESampler(seed=derive_trial_seed(job.seed, num_known)),
            direction="maximize" if job.mode == "max" else "minimize",
        )
        self._distributions = {n: _distribution(optuna, s) for n, s in job.search.items()}
        # An end that a later session undid, as one with a larger budget, is not learnt from: the
        # trial would count twice, the first time with a score of half-way.
        ends = {trial.id: trial.end for trial in Outcome.from_rows(rows).trials} if rows else {}
        for row in rows:
            if not isinstance(row, EndRow) or ends[row.trial] is row:
                self.observe_row(row)

    @property
    def num_left(self) -> int:
        """Trials whose settings are still to be proposed."""
        return self.job.trials - self.job.num_repeats - len(self._settings)

    def propose(self) -> TrialPlan:
        """Return the plan of the next trial.

        Raises:
            InputError: the algorithm refused too many proposals in a row.
        """
        states, refused = self._optuna.trial.TrialState, ""
        name = self.job.name_trials(self._settings)[len(self._settings)]
        for _ in range(REFUSALS):
            proposal = self._study.ask(self._distributions)
            config = {n: _decode_value(self.job.search[n], v) for n, v in proposal.params.items()}
            try:
                self.job.make_trial_settings(config)
            except InputError as error:
                refused = str(error)
                self._study.tell(proposal, state=states.FAIL)
                continue
            self._proposals[name] = proposal
            return TrialPlan(name, config, str(get_hang_report_dir(self.directory, name)))
        raise InputError(
            f"The algorithm refused {REFUSALS} proposed settings in a row: narrow the search. The "
            f"last refusal: {refused}"
        )

    def observe_row(self, row: Row) -> None:
        """Learn from a row of the log."""
        if isinstance(row, TrialRow) and row.repeats:
            self._repeats.add(row.trial)
        if isinstance(row, TrialEvent) and row.trial in self._repeats:
            return
        if isinstance(row, TrialRow):
            self._settings[row.trial] = row.config
        elif isinstance(row, ResultRow):
            if row.score is not None:
                self._last_scores[row.trial] = row.score
                if math.isfinite(row.score):
                    self._scores[row.trial][row.iteration] = row.score
        elif isinstance(row, EndRow) and row.reason not in CONTINUED:
            self._learn(row.trial, row.reason)

    def _learn(self, trial: str, reason: str) -> None:
        states = self._optuna.trial.TrialState
        last_score, reports = self._last_scores.get(trial), self._scores[trial]
        state = (
            states.COMPLETE if last_score is not None and math.isfinite(last_score) else states.FAIL
        )
        if reason in ENDED_EARLY:
            # The sampler ranks pruned trials by how far they came, so early ends teach it, too.
            state = states.PRUNED if reports else states.FAIL
        value = last_score if state is states.COMPLETE else None
        if proposal := self._proposals.pop(trial, None):
            for iteration, score in reports.items():
                proposal.report(score, iteration)
            self._study.tell(proposal, value, state)
            return
        # The trial was proposed in an earlier session, or its settings are a point of the job.
        search, config = self.job.search, self._settings[trial]
        self._study.add_trial(
            self._optuna.trial.create_trial(
                state=state,
                value=value,
                params={name: _encode_value(search[name], config[name]) for name in search},
                distributions=self._distributions,
                intermediate_values=reports,
            )
        )


def _distribution(optuna: ModuleType, space: Space) -> Any:
    if space.kind == "choice":
        # Indices stand for the values, because Optuna takes no lists as values.
        return optuna.distributions.CategoricalDistribution(range(len(space.values)))
    low, high = space.values
    if space.kind == "int":
        return optuna.distributions.IntDistribution(low, high)
    return optuna.distributions.FloatDistribution(low, high, log=space.kind == "loguniform")


def _decode_value(space: Space, encoded: Any) -> Any:
    return space.values[encoded] if space.kind == "choice" else encoded


def _encode_value(space: Space, value: object) -> Any:
    """Return the form of a value in Optuna; a list read from a log was a tuple in the job."""
    if space.kind != "choice":
        return value
    return space.values.index(tuple(value) if isinstance(value, list) else value)
