"""The recorder of a session: write an event row for everything that happens to its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.health.finding import Finding
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import EndRow, FindingRow, ObservedEndRow, Row
from rungwise.run_log.stop_requests import clear_stop_request
from tune_jobs.stopping.stop_rules import StopVerdict
from tune_jobs.stopping.sweep_health import SweepHealth

if TYPE_CHECKING:
    from tune_jobs.trackers.prometheus_gauges import RunGauges


class EventRecorder:
    """Appends to the event log of a run; it decides nothing.

    Args:
        directory: the run directory.
        sweep: compares a failed trial with the others.
        listener: called with every row.
        gauges: of an initialised Ray.
    """

    def __init__(
        self,
        directory: Path,
        sweep: SweepHealth,
        listener: Callable[[Row], None],
        gauges: RunGauges | None = None,
    ) -> None:
        self.directory, self.sweep = directory, sweep
        self.observed: set[str] = set()
        """Trials with an observed end in this session."""
        self._listener = listener
        self._log = EventLog(directory / "events.jsonl")
        self._gauges = gauges

    def write(self, row: Row) -> None:
        """Append a row to the log and show it; of the observed ends of a trial the first."""
        if isinstance(row, ObservedEndRow):
            if row.trial in self.observed:
                return
            self.observed.add(row.trial)
        if isinstance(row, EndRow):
            for withdrawal in self.sweep.judge_end(row.trial):
                self.write(withdrawal)
            # The request is served: left behind, it would stop the trial again after a resume.
            clear_stop_request(self.directory, row.trial)
        self._log.append(row)
        self.sweep.add_config(row)
        self._listener(row)
        if self._gauges:
            self._gauges.show_row(row)

    def write_end(self, trial: str, iteration: int, verdict: StopVerdict) -> None:
        """Write the end of a trial."""
        self.write(EndRow(trial=trial, iteration=iteration, **vars(verdict)))

    def write_scheduling(self, result: Mapping[str, Any] | None = None) -> None:
        """Write what a scheduler has decided since the last call; here there is none."""

    def write_failure(
        self, trial: str, iteration: int, symptom: str, evidence: str, continues: str
    ) -> None:
        """Write a failure that a trial survives, and from where it continues."""
        self.sweep.register_symptom(trial, symptom, "warn", iteration)
        siblings = self.sweep.compare_with_siblings(symptom)
        remedy = f"The trial continues {continues}; if it fails again, look there first."
        self.write_warning(trial, iteration, symptom, evidence, remedy, siblings)

    def write_warning(
        self, trial: str, at: int, symptom: str, evidence: str, remedy: str, siblings: str = ""
    ) -> None:
        """Write a warning that no health rule gives, seen first at this iteration."""
        finding = Finding(symptom, "warn", at, evidence, remedy)
        self.write(FindingRow(trial=trial, iteration=at, siblings=siblings, **vars(finding)))
