"""The health of a sweep: the history of each trial, its findings, and what its siblings show."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from algos.settings.training import TrainingSettings
from rungwise.health import Finding, History, diagnose
from rungwise.health.diagnosis import SHORTEST, find_disproved
from rungwise.health.metric_table import MetricTable, as_number
from rungwise.health.remedy import OtherLibrary
from rungwise.health.smoothed_progress import repeats_episodes
from rungwise.logs.log_rows import assume_budget
from rungwise.run_log.cross_trial import (
    FEWEST,
    Sibling,
    compare_trials_on_symptom,
    split_by_symptom,
)
from rungwise.run_log.events import ExploitRow, FindingRow, ResultRow, Row, TrialRow
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.rllib_settings import RLlibSettings, describe_rllib_settings

COMPARED = 50
"""Sick trials up to which every finding is compared with all other trials."""


class SweepHealth:
    """The histories of all trials of a sweep, and the findings that follow from them.

    Args:
        job: the job, with its metric and mode filled in.
        earlier: the event rows of earlier sessions, so that a resumed run judges as if it had never
            been interrupted.
    """

    def __init__(self, job: Job, earlier: Iterable[Row] = ()) -> None:
        self._job = job
        self._histories: dict[str, MetricTable] = {}
        self._last_iterations: dict[str, int] = {}
        self._configs: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._symptom_iterations: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._settings: dict[str, tuple[dict[str, Any], dict[str, Any], OtherLibrary | None]] = {}
        """Searched values of each trial, and what :meth:`_describe_settings` returns for them."""
        self._libraries: dict[str, OtherLibrary] = {}
        self._open: defaultdict[str, dict[tuple[str, str], FindingRow]] = defaultdict(dict)
        """Findings of each trial that are not withdrawn, by symptom and severity."""
        self._any_reward_seen = False
        """Whether any step of any trial had a reward other than zero."""
        self._sick_trial_counts: Counter[str] = Counter()
        self._cached_comparisons: dict[str, tuple[int, str]] = {}
        """Last comparison of each symptom, after the number of sick trials that it is of."""
        for row in earlier:
            if isinstance(row, ResultRow):
                self.add_result(row.trial, row.iteration, row.env_steps, row.metrics)
            elif isinstance(row, FindingRow):
                self._register_finding(row)
            else:
                self.add_config(row)

    def add_config(self, row: Row) -> None:
        """Take over the searched values of a trial, where this row sets or changes them."""
        if isinstance(row, TrialRow):
            self._configs[row.trial] = row.config
        elif isinstance(row, ExploitRow):
            self._configs[row.trial] = row.after

    def add_result(
        self, trial: str, iteration: int, env_steps: int, metrics: Mapping[str, Any]
    ) -> None:
        """Append one iteration to the history of a trial.

        The rules judge trends over rows that were measured independently of each other, so the
        history holds the job's metric as each iteration measured it. Scores are pooled over
        trailing iterations and share episodes with those before them.
        """
        # A metric that is missing counts as a reward: nothing is known about it. Iteration 0 is
        # what precedes training and has none at all.
        if iteration and as_number(metrics.get("reward_abs_max")) != 0:
            self._any_reward_seen = True
        rows = self._histories.setdefault(trial, MetricTable())
        # A restored trial repeats the iterations after its checkpoint: the new ones replace them.
        # So does any later row with one of iteration 0, whose metrics the first iteration repeats.
        while rows and not 0 < rows.column("iteration")[-1] < iteration:
            rows.pop()
        rows.append({**metrics, "iteration": iteration, "env_steps": env_steps})
        self._last_iterations[trial] = iteration

    def set_library(self, trial: str, library: Mapping[str, Any]) -> None:
        """Set the library that a program's log is by, from its fields; empty where not known."""
        if library:
            self._libraries[trial] = OtherLibrary(**library)

    def has_results(self, trial: str) -> bool:
        """Return whether a trial has reported an iteration."""
        return trial in self._histories

    def get_history(self, trial: str) -> MetricTable:
        """Return all iterations of a trial."""
        return self._histories[trial]

    def get_last_iteration(self, trial: str) -> int:
        """Return the latest iteration that a trial has reported."""
        return self._last_iterations[trial]

    def judge(self, trial: str) -> tuple[list[Finding], list[FindingRow]]:
        """Apply the health rules to the history of a trial.

        Returns:
            The findings, and the rows that withdraw earlier findings which the history disproves.
        """
        history = self._make_history(trial)
        diagnosis = diagnose(history, self._job.health_limits)
        withdrawals = self._list_withdrawals(trial, history)
        for finding in diagnosis.findings:
            last = self.get_last_iteration(trial)
            self.register_symptom(trial, finding.symptom, finding.severity, last)
        return [self._escalate_zero_reward(f) for f in diagnosis.findings], withdrawals

    def judge_end(self, trial: str) -> list[FindingRow]:
        """Return the rows that withdraw what the last check of a trial disproves, and close them.

        No later check can: a trial may end long before its budget, at a rung or by its target.
        """
        if not (self._open[trial] and self.has_results(trial)):
            return []
        rows = self._list_withdrawals(trial, self._make_history(trial), is_over=True)
        self.register_withdrawals(rows)
        return rows

    def _make_history(self, trial: str) -> History:
        rows = self._histories[trial]
        # Nothing of our own training is smoothed; what other libraries log may be.
        is_own = isinstance(self._job.settings, TrainingSettings)
        last, budget = self.get_last_iteration(trial), self._job.iterations
        if last > budget:  # of a program whose budget is not known, or was too small
            budget = assume_budget(last)
        settings, other = self._describe_settings(trial)
        return History(
            rows,
            budget,
            self._job.metric,
            self._job.mode or "max",
            is_smoothed=not is_own and repeats_episodes(rows),
            settings=settings,
            other=other,
        )

    def register_symptom(self, trial: str, symptom: str, severity: str, iteration: int) -> None:
        """Remember when a symptom was first found in a trial, for comparison with other trials.

        A note does not count: it may describe a healthy trial.
        """
        if severity != "note" and symptom not in self._symptom_iterations[trial]:
            self._symptom_iterations[trial][symptom] = iteration
            self._sick_trial_counts[symptom] += 1

    def register_new_findings(
        self, trial: str, iteration: int, findings: Sequence[Finding]
    ) -> list[FindingRow]:
        """Return the rows of the findings that are not open yet, and open them."""
        rows: list[FindingRow] = []
        for finding in findings:
            if (finding.symptom, finding.severity) not in self._open[trial]:
                siblings = self.compare_with_siblings(finding.symptom)
                row = FindingRow(
                    trial=trial, iteration=iteration, siblings=siblings, **vars(finding)
                )
                self._register_finding(row)
                rows.append(row)
        return rows

    def register_withdrawals(self, rows: Sequence[FindingRow]) -> None:
        """Close the findings that these rows withdraw."""
        for row in rows:
            self._register_finding(row)

    def compare_with_siblings(self, symptom: str) -> str:
        """Return what the other trials show about a symptom; empty where too few can be compared.

        With many sick trials the answer is reused until their number has grown by a tenth:
        comparing all trials at each finding takes time quadratic in their number.
        """
        sick = self._sick_trial_counts[symptom]
        sick_before, comparison = self._cached_comparisons.get(symptom, (0, ""))
        if sick <= COMPARED or sick > 1.1 * sick_before:
            comparison = compare_trials_on_symptom(symptom, self._list_siblings())
            self._cached_comparisons[symptom] = (sick, comparison)
        return comparison

    def _list_withdrawals(
        self, trial: str, history: History, is_over: bool = False
    ) -> list[FindingRow]:
        """Return the rows that withdraw what the trial's history disproves."""
        at, gone = history.iteration(-1), find_disproved(self._open[trial], history, is_over)
        return [
            dataclasses.replace(row, withdrawn=at, time=time.time())
            for key, row in self._open[trial].items()
            if key in gone
        ]

    def _register_finding(self, row: FindingRow) -> None:
        if not row.withdrawn:
            self._open[row.trial][row.symptom, row.severity] = row
            self.register_symptom(row.trial, row.symptom, row.severity, row.iteration)
            return
        self._open[row.trial].pop((row.symptom, row.severity), None)
        if self._symptom_iterations[row.trial].pop(row.symptom, None) is not None:
            self._sick_trial_counts[row.symptom] -= 1

    def _describe_settings(self, trial: str) -> tuple[dict[str, Any], OtherLibrary | None]:
        """Return all settings of a trial, and those of RLlib or a program's library, where known.

        The first are empty for these: what they call by a name of ours may be another thing. Cached
        by the searched values.
        """
        job, config = self._job, self._configs[trial]
        if job.is_program:
            return {}, self._libraries.get(trial)
        if trial not in self._settings or self._settings[trial][0] is not config:
            searched, _ = job.split_trial_config(config)
            if isinstance(job.settings, RLlibSettings):
                other = describe_rllib_settings(job.algo, job.settings.values | searched)
                self._settings[trial] = config, {}, other
            else:
                # Its process has validated them.
                self._settings[trial] = config, vars(job.training) | searched, None
        return self._settings[trial][1:]

    def _list_siblings(self) -> list[Sibling]:
        return [
            Sibling(trial, iteration, self._symptom_iterations[trial], self._configs[trial])
            for trial, iteration in sorted(self._last_iterations.items())
        ]

    def _escalate_zero_reward(self, finding: Finding) -> Finding:
        """Turn a warning of zero reward into a stop where no trial of the sweep has a reward.

        A single trial gets half of its budget to find a first reward. Where none of several trials
        found one in the same time, the cause is shared and more time does not help.
        """
        warned = finding.symptom == "zero_reward" and finding.severity == "warn"
        long = self._job.iterations >= SHORTEST  # in shorter runs the rules only warn
        if warned and long and self._is_sweep_unrewarded():
            return dataclasses.replace(finding, severity="stop")
        return finding

    def _is_sweep_unrewarded(self) -> bool:
        if self._any_reward_seen or self._job.health_limits.get("zero_reward", "stop") != "stop":
            return False
        sick, well = split_by_symptom("zero_reward", self._list_siblings())
        return len(sick) >= FEWEST and not well
