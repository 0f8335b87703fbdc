"""Rebuild the result of a run from its event log.

*Compute saved* is the fraction of the full budget (trials x iterations of the job) that ended
trials did not run. A trial that is running, waiting or interrupted has saved nothing: a resume may
still run its remaining iterations, which count as open. So where a job is done, the saved fraction
is one minus the fraction run; otherwise it is less.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from envs.validation import InputError
from tune_jobs.formatting import count
from tune_jobs.run_log.cross_trial import Sibling, compare_trials_on_all_symptoms
from tune_jobs.run_log.events import (
    CheckpointRow,
    DecisionRow,
    EndRow,
    EvaluationRow,
    ExploitRow,
    FinalRow,
    FindingRow,
    JobEndRow,
    JobRow,
    ResultRow,
    Row,
    TrialEvent,
    TrialRow,
    VideoRow,
)
from tune_jobs.run_log.json_types import to_json_types
from tune_jobs.run_log.trial_outcome import TrialOutcome, to_finite_float

CONTINUED = ("interrupted", "error")
"""Ends that a resume may undo."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a run, read from its event log."""

    job: JobRow
    trials: tuple[TrialOutcome, ...]
    """All trials of the log, by id."""
    evaluations: tuple[EvaluationRow, ...]
    end: JobEndRow | None
    """None while the driver runs, or if it was killed."""
    finals: tuple[FinalRow, ...] = ()
    """The latest final of each finalist."""
    videos: tuple[VideoRow, ...] = ()
    """The latest recording of each file, and failed ones."""

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> Outcome:
        """Rebuild the outcome of a run.

        Raises:
            InputError: if there is no job row among the rows.
        """
        tally = OutcomeBuilder()
        for row in rows:
            tally.add(row)
        return tally.build_outcome()

    @property
    def best(self) -> TrialOutcome | None:
        """The winner of the finals; without finals the trial with the best last score."""
        if self.won is None:
            return next(iter(self.ranked), None)
        return next(trial for trial in self.trials if trial.id == self.won.trial)

    @property
    def won(self) -> FinalRow | None:
        """The winner's final; None where scores of training decide."""
        # A final whose score is not finite cannot win.
        finals = [(s, row) for row in self.finals if (s := to_finite_float(row.score)) is not None]
        if not finals:
            return None
        # The finals have a mode of their own: where single episodes lack the job's metric (a loss,
        # say), they are judged by another one.
        choose = max if self.finals[-1].mode == "max" else min
        return choose(finals, key=lambda final: final[0])[1]

    @property
    def best_score(self) -> float | None:
        """The score that decided for the best trial: of its final, or of its training."""
        if self.won is not None:
            return self.won.score
        return self.best.finite_score if self.best else None

    @property
    def best_by(self) -> str:
        """The origin of :attr:`best_score`, in words."""
        if self.won is None:
            return "training"
        each = count(self.won.episodes, "fresh episode")
        return f"{each} of each of the best {len(self.finals)}"

    @property
    def ranked(self) -> list[TrialOutcome]:
        """The trials with a finite last score, the best first."""
        # By key only: trials cannot be compared, and sorting is stable, so the lower id wins a tie.
        sign = -1 if self.job.mode == "max" else 1
        scored = [(sign * s, t) for t in self.trials if (s := t.finite_score) is not None]
        return [trial for _, trial in sorted(scored, key=lambda pair: pair[0])]

    @property
    def rungs(self) -> tuple[int, ...]:
        """The iterations at which the scheduler decides."""
        return tuple(self.job.scheduler.get("rungs") or ())

    @property
    def findings(self) -> tuple[FindingRow, ...]:
        """The findings of all trials, in time order."""
        return tuple(sorted((f for t in self.trials for f in t.findings), key=lambda f: f.time))

    @property
    def siblings(self) -> dict[str, str]:
        """By symptom, whether it points at what all trials share or at one setting."""
        return compare_trials_on_all_symptoms(
            [
                Sibling(
                    trial.id,
                    trial.iterations,
                    # The first row of a symptom counts, so it goes in last; a note may be fine.
                    {
                        row.symptom: row.iteration
                        for row in reversed(trial.findings)
                        if row.severity != "note" and not row.withdrawn
                    },
                    trial.config,
                )
                for trial in self.trials
            ]
        )

    @property
    def evaluation(self) -> EvaluationRow | None:
        """The latest evaluation of the best trial; without one, the latest of any."""
        best = self.best.id if self.best else None
        of_best = [row for row in self.evaluations if row.trial == best]
        return (of_best or list(self.evaluations) or [None])[-1]

    @property
    def budget(self) -> int:
        """Iterations of the full job: every trial to its end."""
        # A log has more trials than its last job row names if `trials` was lowered before a resume.
        return max(self.job.trials, len(self.trials)) * self.job.iterations

    @property
    def iterations_run(self) -> int:
        """Iterations run by all trials."""
        return sum(trial.iterations for trial in self.trials)

    @property
    def progress_text(self) -> str:
        """The iterations run, of a budget that is known."""
        if not self.budget:
            return f"{count(self.iterations_run, 'iteration')} run"
        return f"{self.iterations_run:,} of {self.budget:,} iterations run"

    @property
    def env_steps(self) -> int:
        """Environment steps taken by all trials."""
        return sum(trial.env_steps for trial in self.trials)

    @property
    def iterations_saved_by_reason(self) -> dict[str, int]:
        """Iterations saved by end reason, the largest first; they add up to the saved total."""
        by_reason: Counter[str] = Counter()
        for trial in self.trials:
            if trial.iterations_saved:
                by_reason[trial.end_reason or ""] += trial.iterations_saved
        return dict(by_reason.most_common())

    @property
    def iterations_open(self) -> int:
        """Iterations neither run nor saved, which a resume would run or save."""
        return max(
            0, self.budget - self.iterations_run - sum(self.iterations_saved_by_reason.values())
        )

    @property
    def compute_saved(self) -> float:
        """Fraction of the full budget that ended trials did not run."""
        return sum(self.iterations_saved_by_reason.values()) / self.budget if self.budget else 0.0

    def as_dict(self, directory: str | Path = "") -> dict[str, Any]:
        """Return the answer of ``rungwise tune --json``: strict JSON, no NaN.

        Args:
            directory: the run directory, which makes the paths complete.
        """
        root = Path(directory)
        trials = [
            {
                "id": trial.id,
                "score": trial.finite_score,
                "iterations": trial.iterations,
                "end_reason": trial.end_reason,
                "checkpoint": trial.checkpoint and str(root / trial.checkpoint),
            }
            for trial in self.trials
        ]
        best = self.best
        return {
            "run": str(directory) or self.job.run,
            "trials": trials,
            "best": best
            and {
                "id": best.id,
                "score": self.best_score,
                "score_from": self.best_by,
                "metric": self.won.metric if self.won else self.job.metric,
                "training_score": best.finite_score,
                "config": to_json_types(best.config),
                "checkpoint": best.checkpoint and str(root / best.checkpoint),
            },
            "compute_saved": self.compute_saved,
            "siblings": self.siblings,
            "videos": [str(root / row.path) for row in self.videos if row.path],
            "report": str(root / "report.html"),
        }


@dataclasses.dataclass
class _TrialState:
    """A trial while its rows are read."""

    config: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    results: list[ResultRow] = dataclasses.field(default_factory=list[ResultRow])
    decisions: dict[int, DecisionRow] = dataclasses.field(default_factory=dict[int, DecisionRow])
    findings: dict[tuple[str, str], FindingRow] = dataclasses.field(
        default_factory=dict[tuple[str, str], FindingRow]
    )
    exploits: list[ExploitRow] = dataclasses.field(default_factory=list[ExploitRow])
    end: EndRow | None = None
    checkpoints: dict[int, str] = dataclasses.field(default_factory=dict[int, str])
    """By their iteration."""


class OutcomeBuilder:
    """Builds the outcome of a run row by row; it is available at any time."""

    def __init__(self) -> None:
        self._job: JobRow | None = None
        self._end: JobEndRow | None = None
        self._notes: dict[str, _TrialState] = {}
        self._evaluations: list[EvaluationRow] = []
        self._finals: dict[str, FinalRow] = {}
        self._videos: dict[str, VideoRow] = {}
        self._cached_outcomes: dict[str, TrialOutcome] = {}
        """By trial, without those that have had a row since."""
        self._ids: list[str] = []

    def add(self, row: Row) -> None:
        """Take one row; rows come in the order of the log."""
        if isinstance(row, JobRow):
            self._begin(row)
        elif isinstance(row, JobEndRow):
            # The end of the job interrupts every trial that runs, so all outcomes may change.
            self._end = row
            self._cached_outcomes.clear()
        elif isinstance(row, EvaluationRow):
            self._evaluations.append(row)
        elif isinstance(row, FinalRow):
            self._finals[row.trial] = row
        elif isinstance(row, VideoRow):
            self._videos[row.path or row.checkpoint] = row
        else:
            self._cached_outcomes.pop(row.trial, None)
            self._note(self._notes.setdefault(row.trial, _TrialState()), row)

    def build_trial_outcome(self, trial: str) -> TrialOutcome:
        """Return the outcome so far of one trial that has a row.

        Raises:
            InputError: if no job row has come yet.
        """
        if self._job is None:
            raise InputError("The event log has no job row, so it is not the log of a run.")
        # The live table asks after every row: only the trial of that row is rebuilt.
        if trial not in self._cached_outcomes:
            self._cached_outcomes[trial] = self._trial(trial, self._notes[trial], self._job)
        return self._cached_outcomes[trial]

    def build_outcome(self) -> Outcome:
        """Return the outcome so far.

        Raises:
            InputError: if no job row has come yet.
        """
        if self._job is None:
            raise InputError("The event log has no job row, so it is not the log of a run.")
        if len(self._ids) < len(self._notes):
            # By length first: ids have equal width up to the job's number of trials, and 9 comes
            # before 10 where a log has more.
            self._ids = sorted(self._notes, key=lambda trial: (len(trial), trial))
        trials = tuple(map(self.build_trial_outcome, self._ids))
        finals, videos = tuple(self._finals.values()), tuple(self._videos.values())
        return Outcome(self._job, trials, tuple(self._evaluations), self._end, finals, videos)

    def _begin(self, job: JobRow) -> None:
        # A resume withdraws the job's end and the ends of trials that it continues.
        self._job, self._end = job, None
        self._cached_outcomes.clear()
        for notes in self._notes.values():
            if notes.end is not None and notes.end.reason in CONTINUED:
                notes.end = None

    def _note(self, notes: _TrialState, row: TrialEvent) -> None:
        match row:
            case TrialRow():
                notes.config = row.config
            case ResultRow():
                _append_result(notes, row)
            case DecisionRow():
                notes.decisions[row.rung] = row
            case FindingRow():
                _found(notes, row)
            case ExploitRow():
                notes.config = row.after
                notes.exploits.append(row)
            case CheckpointRow():
                notes.checkpoints[row.iteration] = row.path
            case EndRow():
                notes.end = row
            case _:
                pass

    def _trial(self, trial: str, notes: _TrialState, job: JobRow) -> TrialOutcome:
        iterations = notes.results[-1].iteration if notes.results else 0
        reason, sentence = None, ""
        if notes.end is not None:
            # The last results may be missing (damaged lines are left out), so the end counts, too.
            iterations = max(iterations, notes.end.iteration)
            reason, sentence = notes.end.reason, notes.end.sentence
        elif self._end is not None:
            # The driver ended before it could write the end of this trial.
            reason, sentence = "interrupted", "the job ended before this trial did"
        return TrialOutcome(
            id=trial,
            config=notes.config,
            budget=job.iterations,
            iterations=iterations,
            results=tuple(notes.results),
            decisions=tuple(notes.decisions.values()),
            findings=tuple(notes.findings.values()),
            end_reason=reason,
            sentence=sentence,
            checkpoint=_choose_checkpoint(notes, job),
            patience=job.patience,
            exploits=tuple(notes.exploits),
        )


def _choose_checkpoint(notes: _TrialState, job: JobRow) -> str | None:
    """Return the checkpoint that is a trial's result."""
    if not notes.checkpoints:
        return None
    newest = notes.checkpoints[max(notes.checkpoints)]
    if job.keep == "last":
        return newest
    # Tune keeps the best and the newest checkpoint. Which one is the best follows from the scores
    # of the log: Tune's own choice is in its snapshots, which are not read.
    scores = {row.iteration: row.score for row in notes.results if row.score is not None}
    scored = [at for at in notes.checkpoints if math.isfinite(scores.get(at, math.nan))]
    if not scored:
        return newest
    sign = 1 if job.mode == "max" else -1
    return notes.checkpoints[max(scored, key=lambda at: (sign * scores[at], at))]


def _found(notes: _TrialState, row: FindingRow) -> None:
    """Keep the first row of a finding; its withdrawal, and a finding after that, replace it."""
    # The first row has the iteration at which the symptom appeared, and the evidence of that time.
    known = notes.findings.get((row.symptom, row.severity))
    if known is None or known.withdrawn or row.withdrawn:
        notes.findings[row.symptom, row.severity] = row


def _append_result(notes: _TrialState, row: ResultRow) -> None:
    # A resume goes back to a checkpoint; what came after it is run again, and the later row wins.
    # Iteration 0 is what preceded training: the first iteration repeats its metrics.
    while notes.results and not 0 < notes.results[-1].iteration < row.iteration:
        notes.results.pop()
    notes.results.append(row)
    # A result after such an end: the trial has been continued.
    if notes.end is not None and notes.end.reason in CONTINUED:
        notes.end = None
