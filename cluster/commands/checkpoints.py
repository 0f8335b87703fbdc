"""The checkpoint that a command works with: one that is named, or the best of a run or a trial."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def choose_checkpoint(path: Path) -> Path:
    """Return the checkpoint that a path names; print on stderr which one, if it names several.

    Args:
        path: a checkpoint, or the directory of a run or a trial, whose best checkpoint is taken.

    Raises:
        InputError: a run or a trial without a checkpoint, or a path that is none of these.
    """
    from algos.checkpoint import check_is_checkpoint
    from tune_jobs.run_log.best_checkpoint import find_checkpoint

    checkpoint = find_checkpoint(path)
    if checkpoint != path:
        console = Console(stderr=True)
        console.print(f"Best checkpoint: {checkpoint}", highlight=False, soft_wrap=True)
    check_is_checkpoint(checkpoint)
    return checkpoint
