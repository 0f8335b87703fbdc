"""Videos of ``rungwise evaluate``: recorded into the run of a checkpoint and into its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from algos.policy import Policy
    from tune_jobs.run_log.events import VideoRow


def record_videos(
    policy: Policy,
    checkpoint: Path,
    episodes: int,
    seed: int,
    env_kwargs: Mapping[str, Any],
    console: Console,
) -> list[str]:
    """Record episodes of a checkpoint's policy and print the files.

    Args:
        policy: the policy.
        checkpoint: the directory that it was loaded from.
        episodes: the number of episodes; 0 records none.
        seed: the first seed.
        env_kwargs: environment arguments that replace those of the policy's evaluation.
        console: prints the files.

    Returns:
        The paths of the files.
    """
    if not episodes:
        return []
    from cluster.terminal.progress import EvaluationProgress
    from tune_jobs.evaluation.videos import record_checkpoint
    from tune_jobs.report.video_section import describe_video
    from tune_jobs.run_log.best_checkpoint import find_run_and_trial

    run, trial = find_run_and_trial(checkpoint) or (None, "")
    directory = run or checkpoint.parent
    with EvaluationProgress(activity="recording") as progress:
        recordings = record_checkpoint(
            *(policy, directory, trial, checkpoint, episodes, seed, env_kwargs, progress)
        )
        rows = list(recordings)
    paths = [str(directory / row.path) for row in rows]
    for path, row in zip(paths, rows, strict=True):
        console.print(f"Video: {path} ({describe_video(row)})", highlight=False, soft_wrap=True)
    if run:
        _add_to_report(run, rows)
    return paths


def _add_to_report(run: Path, videos: Sequence[VideoRow]) -> None:
    """Log the videos of a run and write its report again."""
    from tune_jobs.report.report import write_report
    from tune_jobs.run_log.driver_lock import has_driver, make_lost_end
    from tune_jobs.run_log.event_log import EventLog, read_event_log

    log = EventLog(run / "events.jsonl")
    for row in videos:
        log.append(row)
    # A driver writes the report at its end, from the same log.
    if not has_driver(run):
        rows = read_event_log(log.path)
        rows += make_lost_end(run, rows)
        write_report(rows, (run / "job.yaml").read_text(), run / "report.html")
