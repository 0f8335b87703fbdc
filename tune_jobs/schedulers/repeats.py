"""The last trials of a sweep: its best settings, trained once more on another seed.

The best of many trainings was lucky to a good part. A second seed for the few best settings finds
more of the really good ones than as many new settings do (docs/tuning.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tune_jobs.jobs.job import Job
from tune_jobs.run_log.event_log import read_event_log
from tune_jobs.run_log.events import Row, TrialRow
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.resume import TrialPlan, get_hang_report_dir


class Repeats:
    """Chooses which trials of a job are repeated.

    Args:
        job: with its number of repeats.
        directory: of the run.
        earlier: the event rows so far.
    """

    def __init__(self, job: Job, directory: Path, earlier: Iterable[Row]) -> None:
        self.directory = directory
        started = {row.trial for row in earlier if isinstance(row, TrialRow)}
        ids = job.trial_ids[len(job.trial_ids) - job.num_repeats :]
        self._left = [name for name in ids if name not in started]

    @property
    def num_left(self) -> int:
        """Repeats that are not chosen yet."""
        return len(self._left)

    def choose(self) -> list[tuple[TrialPlan, str]]:
        """Return the plans of the repeats, each with the trial that it repeats, the best first.

        They are fewer where fewer trials have a score. Called when all other trials have ended.
        """
        outcome = Outcome.from_rows(read_event_log(self.directory / "events.jsonl"))
        known = {trial.repeats for trial in outcome.trials}
        best = [t for t in outcome.ranked if not t.repeats and t.id not in known]
        plans = [
            (
                TrialPlan(name, trial.config, str(get_hang_report_dir(self.directory, name))),
                trial.id,
            )
            for name, trial in zip(self._left, best, strict=False)
        ]
        self._left.clear()
        return plans
