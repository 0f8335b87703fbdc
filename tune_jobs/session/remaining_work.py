"""The remaining work of a run, from its event rows and its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from algos.checkpoint import find_newest_intact
from rungwise.run_log.events import EndRow, FindingRow, Row, TrialRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import CONTINUED
from tune_jobs.jobs.trials import TrialPlan, get_hang_report_dir

DAMAGED = "damaged_checkpoint"


@dataclass(frozen=True)
class RemainingWork:
    """The trials that a resume still has to run, and the rows that it has to write."""

    plans: list[TrialPlan] = field(default_factory=list[TrialPlan])
    """The trials to run."""
    missing_rows: list[FindingRow | EndRow] = field(default_factory=list[FindingRow | EndRow])
    """Rows that the log lacks: damage found now, and ends that a kill cut off."""


def find_remaining_work(directory: Path, rows: Sequence[Row]) -> RemainingWork:
    """Return the remaining work of the run in ``directory``.

    A trial without an end continues, and one that ended by an error is tried again: each from its
    newest intact checkpoint.

    Args:
        directory: the run directory.
        rows: all rows of its event log, and the start of the session that continues it.
    """
    remaining = RemainingWork()
    planned = {row.trial for row in rows if isinstance(row, TrialRow)}
    # Built from the rows alone: Tune's own snapshots lag behind the checkpoints.
    for trial in Outcome.from_rows(rows).trials:
        # A killed driver writes no ends, so a trial without one counts as interrupted.
        if trial.id not in planned or trial.end_reason not in (None, *CONTINUED):
            continue
        stopped = next((row for row in trial.decisions if not row.keep), None)
        if stopped is not None and not trial.job.observe:
            # The kill came between a decision and the end that follows from it. The decision holds:
            # other trials were promoted or ended by comparison with it.
            remaining.missing_rows.append(stopped.make_end())
            continue
        sound, damage = find_newest_intact(directory / row.path for row in trial.checkpoints)
        if damage:
            remaining.missing_rows.append(make_damage_finding(trial.id, directory, damage, sound))
        # Absolute: the trial's process may have another working directory.
        start = str(sound.absolute()) if sound else ""
        remaining.plans.append(
            TrialPlan(trial.id, trial.config, str(get_hang_report_dir(directory, trial.id)), start)
        )
    return remaining


def make_damage_finding(
    trial: str, directory: Path, damage: Sequence[str], sound: Path | None, iteration: int = 0
) -> FindingRow:
    """Return the event row of damaged checkpoints, and of the one that is used instead."""
    instead = (
        f"{sound.relative_to(directory)} is used"
        if sound
        else "the trial starts from the beginning"
    )
    return FindingRow(
        trial=trial,
        iteration=iteration,
        symptom=DAMAGED,
        severity="warn",
        since=iteration,
        evidence=". ".join(damage),
        remedy=f"Instead {instead}; if it happens again, look at the disk.",
    )
