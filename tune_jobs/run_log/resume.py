"""What is left of a run, read from its event rows and its checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algos.checkpoint import DamagedCheckpoint, verify_checkpoint
from tune_jobs.run_log.events import (
    CheckpointRow,
    DecisionRow,
    EndRow,
    ExploitRow,
    FindingRow,
    Row,
    TrialRow,
)
from tune_jobs.run_log.outcome import CONTINUED

DAMAGED = "damaged_checkpoint"


@dataclass(frozen=True)
class TrialPlan:
    """A trial that is to be run in this session."""

    trial: str
    config: dict[str, Any]
    hang_report_dir: str
    """Directory where its processes leave reports when they hang."""
    resume_from: str = ""
    """Checkpoint to go on from; empty to start anew."""


@dataclass(frozen=True)
class RemainingWork:
    """What a resume has to do."""

    plans: list[TrialPlan] = field(default_factory=list[TrialPlan])
    """The trials to run."""
    missing_rows: list[FindingRow | EndRow] = field(default_factory=list[FindingRow | EndRow])
    """Rows that the log should have and has not: damage seen now, ends that a kill cut off."""


def find_remaining_work(directory: Path, rows: Sequence[Row]) -> RemainingWork:
    """What is left of the run in ``directory``.

    A trial without an end goes on, and one that ended by an error is tried again: each from its
    newest sound checkpoint.
    """
    drawn = {row.trial: row.config for row in rows if isinstance(row, TrialRow)}
    drawn |= {row.trial: row.after for row in rows if isinstance(row, ExploitRow)}
    ends = {row.trial: row.reason for row in rows if isinstance(row, EndRow)}
    stops = _find_stop_decisions(rows)
    paths = list_checkpoints(rows)
    left = RemainingWork()
    for trial, setting in drawn.items():
        if ends.get(trial, "interrupted") not in CONTINUED:
            continue
        if stopped := stops.get(trial):
            # Killed between a decision and the end that follows from it: the decision stands.
            left.missing_rows.append(
                EndRow(
                    trial=trial,
                    iteration=stopped.iteration,
                    reason="asha",
                    sentence=stopped.sentence,
                )
            )
            continue
        sound, damage = find_newest_intact(directory / path for _, path in paths.get(trial, []))
        if damage:
            left.missing_rows.append(make_damage_finding(trial, directory, damage, sound))
        # Absolute, because the trial's process may stand in another directory.
        start = str(sound.absolute()) if sound else ""
        left.plans.append(
            TrialPlan(trial, setting, str(get_hang_report_dir(directory, trial)), start)
        )
    return left


def get_hang_report_dir(directory: Path, trial: str) -> Path:
    """Where the processes of a trial leave reports when they hang."""
    return directory.absolute() / "faults" / trial


def list_checkpoints(rows: Iterable[Row]) -> dict[str, list[tuple[int, str]]]:
    """Of each trial the iterations and the paths of its checkpoints, as written."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        if isinstance(row, CheckpointRow):
            found.setdefault(row.trial, []).append((row.iteration, row.path))
    return found


def find_newest_intact(paths: Iterable[Path]) -> tuple[Path | None, list[str]]:
    """The last of these checkpoints that is as it was written, and what is wrong with later ones.

    Those that are not there any more were deleted to make room, which is no damage.
    """
    damage: list[str] = []
    for path in reversed(list(paths)):
        if not path.exists():
            continue
        try:
            verify_checkpoint(path)
        except DamagedCheckpoint as error:
            damage.append(str(error).split(";")[0])
            continue
        return path, damage
    return None, damage


def _find_stop_decisions(rows: Iterable[Row]) -> dict[str, DecisionRow]:
    return {row.trial: row for row in rows if isinstance(row, DecisionRow) and not row.keep}


def make_damage_finding(
    trial: str, directory: Path, damage: Sequence[str], sound: Path | None, iteration: int = 0
) -> FindingRow:
    """What is wrong with a trial's checkpoints and which one is used, as an event row."""
    instead = f"{sound.relative_to(directory)} is used" if sound else "the trial starts anew"
    return FindingRow(
        trial=trial,
        iteration=iteration,
        symptom=DAMAGED,
        severity="warn",
        since=iteration,
        evidence=". ".join(damage),
        remedy=f"Instead {instead}; if it happens again, look at the disk.",
    )
