"""What a run needs of a machine: CPUs and GPUs, a directory of its own, space on the disk."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from envs.validation import InputError
from tune_jobs.jobs.job import Job

NEEDED_BYTES = 200 * 2**20
"""Free space below which a run is not started: a full disk in the middle ruins Tune's files."""
FULL_BYTES = 2**20
"""Free space below which a failure is put down to the disk."""


class DiskFullError(Exception):
    """A run was ended by a full disk; nothing that was saved is lost."""


def claim_run_directory(directory: Path) -> None:
    """Create a run directory that nobody has used.

    Raises:
        InputError: it exists, cannot be written, or the disk is nearly full.
    """
    if directory.exists() and any(directory.iterdir() if directory.is_dir() else [directory]):
        raise InputError(
            f"{directory} exists already. Continue it with `rungwise resume {directory}`, or "
            "choose another place with --out."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{directory} cannot be written ({error.strerror}); choose another place with --out."
        ) from error
    check_disk_space(directory)


def check_disk_space(directory: Path) -> None:
    """Refuse to train where the disk is nearly full.

    Raises:
        InputError: saying how much is free and how much is needed.
    """
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise InputError(
            f"Only {free / 2**20:.0f} MiB are free at {directory}, and a run needs "
            f"{NEEDED_BYTES / 2**20:.0f}; free some space or choose another place with --out."
        )


def check_resources(job: Job, cpus: int) -> None:
    """Refuse a job of which this machine can never hold a trial: Ray would wait for ever.

    Raises:
        InputError: saying what a trial holds, what there is and what to change.
    """
    for kind, there, way in (
        ("CPU", cpus, "offer more with --cpus, or set fewer workers"),
        ("GPU", torch.cuda.device_count(), "set --gpus-per-trial lower"),
    ):
        held = sum(bundle.get(kind, 0.0) for bundle in list_bundles(job))
        if held > there:
            kinds = kind if held == 1 else f"{kind}s"
            said = f"All processes of a trial of this job hold {held:g} {kinds}, "
            raise InputError(f"{said}but this machine offers {there}: {way}.")


@contextmanager
def report_full_disk(directory: Path) -> Generator[None]:
    """Say in a sentence that the disk is full, wherever a write fails with it.

    Raises:
        DiskFull: naming the directory and how to go on.
    """
    try:
        yield
    except Exception as error:
        # Tune writes its own files there too, and fails in many ways when it cannot.
        cause: BaseException | None = error
        while cause is not None and getattr(cause, "errno", None) != errno.ENOSPC:
            cause = cause.__cause__ or cause.__context__
        if cause is None and shutil.disk_usage(directory).free >= FULL_BYTES:
            raise
        raise DiskFullError(
            f"The disk of {directory} is full. Nothing that was saved is lost: free some space, "
            f"then `rungwise resume {directory}` goes on from the last checkpoints."
        ) from error


def list_bundles(job: Job) -> list[dict[str, float]]:
    """What a trial holds: its own process, then each of its workers; GPUs are where it learns."""
    gpus = {"GPU": job.gpus_per_learner}
    own, learner, learners = {"CPU": job.cpus_per_trial}, {"CPU": 1.0}, job.settings.num_learners
    runners = [{"CPU": 1.0}] * job.settings.num_env_runners
    return [own, *runners, *[learner | gpus] * learners] if learners else [own | gpus, *runners]
