"""Rebuild the result of a run from its event log.

*Compute saved* is the fraction of the full budget (trials x iterations of the job) that ended
trials did not run. A trial that is running, waiting, interrupted or has failed has saved nothing: a
resume may still run its remaining iterations, which count as open. So where a job is done without a
failure, the saved fraction is one minus the fraction run; otherwise it is less.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from rungwise.formatting import count, format_end_reason, format_percent
from rungwise.run_log.cross_trial import compare_trials_on_all_symptoms
from rungwise.run_log.events import (
    CheckpointRow,
    EvaluationRow,
    FinalRow,
    FindingRow,
    JobEndRow,
    JobRow,
    ResultRow,
    Row,
    TrialRow,
    VideoRow,
)
from rungwise.run_log.rung_agreement import RungAgreement, measure_rung_agreement
from rungwise.run_log.trial_outcome import CONTINUED, TrialOutcome, rank_trials, to_finite_float
from rungwise.run_log.trial_state import TrialState
from rungwise.validation import InputError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a run, read from its event log."""

    job: JobRow
    trials: tuple[TrialOutcome, ...]
    """All trials of the log, by id."""
    evaluations: tuple[EvaluationRow, ...]
    """The latest of each trial, unless it has another checkpoint since."""
    end: JobEndRow | None
    """None while the driver runs, or if it was killed."""
    finals: tuple[FinalRow, ...] = ()
    """The latest final of each finalist."""
    videos: tuple[VideoRow, ...] = ()
    """The latest recording of each file, and failed ones."""
    evaluation_failure: str = ""
    """Why the last session could not play the finals or the comparison; empty if it did."""

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
        """The winner of the finals; without finals the first of the candidates."""
        if self.won is None:
            return next(iter(self.candidates), None)
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
        return self.best.result_score if self.best else None

    @property
    def best_by(self) -> str:
        """The origin of :attr:`best_score`, in words."""
        if self.won is None and self.best and self.best.scored_reward is not None:
            return "its mean reward per step at the end of training, as no episode ended in it"
        if self.won is None:
            return "training"
        each = f"{count(self.won.episodes, 'fresh episode')} of each of the"
        if self.repeated:
            return f"{each} {len(self.finals)} trainings of the best settings"
        return f"{each} best {len(self.finals)}"

    @cached_property
    def ranked(self) -> list[TrialOutcome]:
        """The trials with a finite last score, by the mean of their later ones, the best first."""
        scored = [trial for trial in self.trials if trial.settled_score is not None]
        return sorted(scored, key=lambda trial: rank_trials([trial]))

    @cached_property
    def best_first(self) -> list[TrialOutcome]:
        """All trials by their last score, the best first; those without a finite one come last."""
        return sorted(
            self.trials,
            key=lambda t: (t.finite_score is None, rank_trials([t], t.finite_score or 0)),
        )

    @property
    def candidates(self) -> list[TrialOutcome]:
        """The trials whose first play the finals; where settings are repeated, the best ones'."""
        if not self.repeated:
            return self.ranked
        best = {trial.id for trial in self.repeated[0]}
        return [trial for trial in self.ranked if trial.id in best]

    @cached_property
    def repeated(self) -> list[list[TrialOutcome]]:
        """The trials of each repeated setting, the best mean first; without unfinished repeats."""
        trials = {trial.id: trial for trial in self.trials}
        # One that has diverged or failed has no score: its settings are no candidates. A damaged
        # log may lack the trial that was repeated, or its scores.
        pairs = [
            [first, again]
            for again in self.trials
            if (first := trials.get(again.repeats)) is not None
            and again.end_reason not in (None, *CONTINUED)
            and None not in (first.settled_score, again.settled_score)
        ]
        return sorted(pairs, key=rank_trials)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The iterations at which the scheduler decides."""
        return tuple(self.job.scheduler.get("rungs") or ())

    @property
    def rung_agreement(self) -> RungAgreement | None:
        """How well the first rung predicted the next; None where too few trials show it."""
        return measure_rung_agreement(self.trials, self.rungs)

    @property
    def findings(self) -> tuple[FindingRow, ...]:
        """The findings of all trials, in time order."""
        return tuple(sorted((f for t in self.trials for f in t.findings), key=lambda f: f.time))

    @property
    def siblings(self) -> dict[str, str]:
        """Whether a symptom points at what all trials share or at one setting, by symptom."""
        return compare_trials_on_all_symptoms([trial.to_sibling() for trial in self.trials])

    @property
    def evaluation(self) -> EvaluationRow | None:
        """The evaluation of the best trial."""
        best = self.best
        return next((row for row in self.evaluations if best and row.trial == best.id), None)

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
        unstarted = max(0, self.job.trials - len(self.trials)) * self.job.iterations
        remaining = (trial.iterations_not_run - trial.iterations_saved for trial in self.trials)
        return unstarted + sum(remaining)

    @property
    def compute_saved(self) -> float:
        """Fraction of the full budget that ended trials did not run."""
        return sum(self.iterations_saved_by_reason.values()) / self.budget if self.budget else 0.0

    @property
    def observed(self) -> list[TrialOutcome]:
        """The trials that would have ended early, had the job not only been observed."""
        return [trial for trial in self.trials if trial.observed_end]

    @property
    def observed_text(self) -> str:
        """The ends that the job would have made, in words; empty if it was not only observed."""
        if not self.job.observe:
            return ""
        trials, ended = count(len(self.trials), "trial"), self.observed
        if not ended:
            return f"Observed: none of {trials} would have been ended."
        by_reason = Counter(trial.observed_end.reason for trial in ended if trial.observed_end)
        reasons = ", ".join(f"{n} by {format_end_reason(name)}" for name, n in by_reason.items())
        saved = sum(trial.observed_iterations_saved for trial in ended)
        share = (
            f", saving {format_percent(saved / self.budget)} of the budget" if self.budget else ""
        )
        best = "among them" if self.best in ended else "not among them"
        text = f"Observed: {len(ended)} of {trials} would have been ended ({reasons}){share}."
        text += f" The best, {self.best.id}, is {best}." if self.best else ""
        judged = [t for t in ended if t.rose_after_observed_end is not None]
        if judged:
            rose = [trial.id for trial in judged if trial.rose_after_observed_end]
            names = f" ({', '.join(rose)})" if rose else ""
            text += f" Without ASHA: {len(rose)} of {len(judged)} recovered afterwards{names}."
        return text

    def find_result(self, directory: str | Path) -> Path | None:
        """Return the checkpoint of the best trial; None where there is none, or it was deleted."""
        checkpoint = self.best and _locate(Path(directory), self.best.checkpoint)
        return Path(checkpoint) if checkpoint else None

    def as_dict(self, directory: str | Path = "") -> dict[str, Any]:
        """Return the answer of ``rungwise tune --json``: strict JSON, no NaN.

        Args:
            directory: the run directory, which makes the paths complete.
        """
        root = Path(directory)
        trials = [
            vars(trial.summarise()) | {"checkpoint": _locate(root, trial.checkpoint)}
            for trial in self.trials
        ]
        best, agreement = self.best, self.rung_agreement
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
                "later_mean": best.settled_score,
                "iteration": best.checkpoint_iteration,
                "config": best.summarise().config,
                "checkpoint": _locate(root, best.checkpoint),
            },
            "compute_saved": self.compute_saved,
            "observed": [
                {
                    "trial": trial.id,
                    "iteration": end.iteration,
                    "reason": end.reason,
                    "sentence": end.sentence,
                    "iterations_saved": trial.observed_iterations_saved,
                    "rose_afterwards": trial.rose_after_observed_end,
                }
                for trial in self.trials
                if (end := trial.observed_end)
            ],
            "siblings": self.siblings,
            "rung_agreement": agreement and agreement.as_dict(),
            "videos": [str(root / row.path) for row in self.videos if row.path],
            "report": str(page) if (page := root / "report.html").is_file() else None,
        }


def _locate(root: Path, checkpoint: str | None) -> str | None:
    """Return the path of a checkpoint; None where a trial has none, or it was deleted."""
    path = root / (checkpoint or "")
    return str(path) if checkpoint and path.exists() else None


class OutcomeBuilder:
    """Builds the outcome of a run row by row; it is available at any time."""

    def __init__(self) -> None:
        self._job: JobRow | None = None
        self._end: JobEndRow | None = None
        self._trials: dict[str, TrialState] = {}
        self._evaluations: dict[str, EvaluationRow] = {}
        self._evaluation_failure = ""
        self._finals: dict[str, FinalRow] = {}
        self._videos: dict[str, VideoRow] = {}
        self._cached_outcomes: dict[str, TrialOutcome] = {}
        """Outcomes by trial, without trials that have had a row since."""
        self._ids: list[str] = []

    def add(self, row: Row) -> None:
        """Add one row; rows come in the order of the log."""
        if isinstance(row, JobRow):
            self._begin(row)
        elif isinstance(row, JobEndRow):
            # The end of the job interrupts every trial that runs, so all outcomes may change.
            self._end = row
            self._cached_outcomes.clear()
        elif isinstance(row, EvaluationRow) and row.failure:
            self._evaluation_failure = row.failure
        elif isinstance(row, EvaluationRow):
            self._evaluations[row.trial] = row
        elif isinstance(row, FinalRow):
            self._finals[row.trial] = row
        elif isinstance(row, VideoRow):
            self._videos[row.path or row.checkpoint] = row
        else:
            self._cached_outcomes.pop(row.trial, None)
            continued = isinstance(row, ResultRow) and row.trial in self._finals
            if continued or (isinstance(row, TrialRow) and row.repeats):
                # Those that remain would decide among themselves: who has no final cannot win.
                self._finals.clear()
            old = self._evaluations.get(row.trial)
            if old and isinstance(row, CheckpointRow) and old.checkpoint != (row.best or row.path):
                # Where this one is damaged an earlier one is compared, but after this row.
                del self._evaluations[row.trial]
            self._trials.setdefault(row.trial, TrialState()).add(row)

    def set_results(self, trial: str, rows: Iterable[ResultRow]) -> None:
        """Replace the results of a trial, for a reader who keeps only the last ones of many."""
        if state := self._trials.get(trial):
            self._cached_outcomes.pop(trial, None)
            state.results[:] = rows

    def build_trial_outcome(self, trial: str) -> TrialOutcome:
        """Return the outcome so far of one trial that has a row.

        Raises:
            InputError: if no job row has come yet.
        """
        job = self._require_job()
        # The live table asks after every row: only the trial of that row is rebuilt.
        if trial not in self._cached_outcomes:
            self._cached_outcomes[trial] = self._trials[trial].build(
                trial, job, job_ended=self._end is not None
            )
        return self._cached_outcomes[trial]

    def build_outcome(self) -> Outcome:
        """Return the outcome so far.

        Raises:
            InputError: if no job row has come yet.
        """
        job = self._require_job()
        if len(self._ids) < len(self._trials):
            # Length first: ids have equal width up to the job's number of trials, and 9 comes
            # before 10 where a log has more.
            self._ids = sorted(self._trials, key=lambda trial: (len(trial), trial))
        trials = tuple(map(self.build_trial_outcome, self._ids))
        finals, videos = tuple(self._finals.values()), tuple(self._videos.values())
        evaluations, failure = tuple(self._evaluations.values()), self._evaluation_failure
        return Outcome(job, trials, evaluations, self._end, finals, videos, failure)

    def _require_job(self) -> JobRow:
        if self._job is None:
            raise InputError("The event log has no job row, so it is not the log of a run.")
        return self._job

    def _begin(self, job: JobRow) -> None:
        # A resume withdraws the job's end and the ends of trials that it continues.
        for trial in self._trials.values():
            trial.begin_session(self._job, job)
        self._job, self._end, self._evaluation_failure = job, None, ""
        self._cached_outcomes.clear()
