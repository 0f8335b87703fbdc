"""One trial while the rows of its log are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rungwise.run_log import events
from rungwise.run_log.trial_outcome import CONTINUED, TrialOutcome, to_finite_float


def is_reopened(
    end: events.EndRow, score: float | None, before: events.JobRow, after: events.JobRow
) -> bool:
    """Return whether a session with a larger job takes up a trial that had ended for good.

    A trial that had run its whole budget continues where that has grown. One that ASHA had ended at
    a rung, with this score, waits there again where trials join, because more of them may be
    promoted then. All other ends stand.
    """
    if end.reason == "budget":
        # The budget of a program, which may end earlier, is up to its command and never grows.
        return before.iterations <= end.iteration < after.iterations
    can_wait = end.reason == "asha" and after.scheduler.get("pauses", False)
    return can_wait and after.trials > before.trials and to_finite_float(score) is not None


@dataclass
class TrialState:
    """A trial while its rows are read."""

    config: dict[str, Any] = field(default_factory=dict[str, Any])
    repeats: str = ""
    results: list[events.ResultRow] = field(default_factory=list[events.ResultRow])
    decisions: dict[int, events.DecisionRow] = field(default_factory=dict[int, events.DecisionRow])
    findings: dict[tuple[str, str], events.FindingRow] = field(
        default_factory=dict[tuple[str, str], events.FindingRow]
    )
    exploits: list[events.ExploitRow] = field(default_factory=list[events.ExploitRow])
    end: events.EndRow | None = None
    observed_end: events.ObservedEndRow | None = None
    checkpoints: list[events.CheckpointRow] = field(default_factory=list[events.CheckpointRow])

    def add(self, row: events.TrialEvent) -> None:
        """Add one row; rows come in the order of the log."""
        match row:
            case events.TrialRow():
                self.config, self.repeats = row.config, row.repeats
            case events.ResultRow():
                self._add_result(row)
            case events.DecisionRow():
                self.decisions[row.rung] = row
            case events.FindingRow():
                self._add_finding(row)
            case events.ExploitRow():
                self.config = row.after
                self.exploits.append(row)
            case events.CheckpointRow():
                self.checkpoints.append(row)
            case events.EndRow():
                self.end = row
            case events.ObservedEndRow():
                self.observed_end = self.observed_end or row
            case _:
                pass

    def begin_session(self, before: events.JobRow | None, after: events.JobRow) -> None:
        """Forget the ends that the start of another session undoes."""
        self.forget_undone_end()
        last = next(reversed(self.decisions.values()), None)
        # The driver may have been killed between a decision and the end that follows from it.
        end = self.end or (last.make_end() if last and not last.keep else None)
        if before and end and is_reopened(end, last and last.score, before, after):
            self.end = None
            if last and end.reason == "asha":
                del self.decisions[last.rung]  # a later row says that it waits again

    def forget_undone_end(self) -> None:
        """Forget the end of a trial that a resume continues."""
        if self.end is not None and self.end.reason in CONTINUED:
            self.end = None

    def build(self, trial: str, job: events.JobRow, *, job_ended: bool) -> TrialOutcome:
        """Return the outcome so far."""
        end = self.end
        if end is None and job_ended:
            # The driver ended before it could write the end of this trial.
            end = events.EndRow(
                trial=trial,
                iteration=0,
                reason="interrupted",
                sentence="the job ended before this trial did",
            )
        return TrialOutcome(
            id=trial,
            job=job,
            config=self.config,
            repeats=self.repeats,
            results=tuple(self.results),
            scores=tuple(
                (row.iteration, score)
                for row in self.results
                if (score := to_finite_float(row.score)) is not None
            ),
            decisions=tuple(self.decisions.values()),
            findings=tuple(self.findings.values()),
            exploits=tuple(self.exploits),
            checkpoints=tuple(self.checkpoints),
            end=end,
            observed_end=self.observed_end,
        )

    def _add_finding(self, row: events.FindingRow) -> None:
        """Keep the first row of a finding; its withdrawal, and a finding after that, replace it."""
        # The first row has the iteration at which the symptom appeared, and the evidence of that
        # time.
        earlier = self.findings.get((row.symptom, row.severity))
        if earlier is None or earlier.withdrawn or row.withdrawn:
            self.findings[row.symptom, row.severity] = row

    def _add_result(self, row: events.ResultRow) -> None:
        # A resume goes back to a checkpoint; what came after it is run again, and the later row
        # wins. Iteration 0 is what preceded training: the first iteration repeats its metrics.
        while self.results and not 0 < self.results[-1].iteration < row.iteration:
            self.results.pop()
        self.results.append(row)
        self.forget_undone_end()  # a result after such an end: the trial has been continued
