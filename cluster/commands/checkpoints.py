"""The checkpoint that a command works with: one that is named, or the best of a run or a trial."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def find_env_module(path: Path, *, required: bool) -> None:
    """Find the module of a run's environment, also from another folder, and say so on stderr.

    Raises:
        InputError: it is required, but is found nowhere.
    """
    from tune_jobs.env_module import restore_module

    if sentence := restore_module(path, required=required):
        Console(stderr=True).print(sentence, highlight=False, soft_wrap=True)


def choose_checkpoint(path: Path, *, plays: bool = False) -> Path:
    """Return the checkpoint that a path names; print on stderr which one, if it names several.

    Args:
        path: a checkpoint, or the directory of a run or a trial, whose best checkpoint is taken.
        plays: whether its environment is needed, too.

    Raises:
        InputError: a run or a trial without a checkpoint, a path that is none of these, or an
            environment that is not found.
    """
    from algos.checkpoint import check_is_checkpoint
    from tune_jobs.run_log.best_checkpoint import find_checkpoint

    checkpoint = find_checkpoint(path)
    if checkpoint != path:
        console = Console(stderr=True)
        console.print(f"Best checkpoint: {checkpoint}", highlight=False, soft_wrap=True)
    check_is_checkpoint(checkpoint)
    find_env_module(path, required=plays)
    return checkpoint
