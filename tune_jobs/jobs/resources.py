"""CPUs and GPUs that a trial reserves, and the check that this machine has them."""

from __future__ import annotations

import torch

from envs.validation import InputError
from tune_jobs.jobs.job import Job


def list_bundles(job: Job) -> list[dict[str, float]]:
    """List what a trial reserves: its own process first, then each env runner and learner.

    GPUs belong to the processes that learn: the trial's own, or its remote learners.
    """
    settings, gpus = job.settings, {"GPU": job.gpus_per_learner}
    trial, learner = {"CPU": job.cpus_per_trial}, {"CPU": 1.0}
    runners = [{"CPU": 1.0}] * settings.num_env_runners
    if settings.num_learners:
        return [trial, *runners, *[learner | gpus] * settings.num_learners]
    return [trial | gpus, *runners]


def check_resources(job: Job, cpus: int) -> None:
    """Refuse a job of which this machine can never hold a trial: Ray would wait for ever.

    Args:
        job: the job.
        cpus: CPUs that Ray offers on this machine.

    Raises:
        InputError: a trial reserves more CPUs or GPUs than there are.
    """
    for kind, available, remedy in (
        ("CPU", cpus, "offer more with --cpus, or set fewer workers"),
        ("GPU", torch.cuda.device_count(), "set --gpus-per-trial lower"),
    ):
        reserved = sum(bundle.get(kind, 0.0) for bundle in list_bundles(job))
        if reserved > available:
            kinds = kind if reserved == 1 else f"{kind}s"
            raise InputError(
                f"All processes of a trial of this job hold {reserved:g} {kinds}, but this machine "
                f"offers {available}: {remedy}."
            )
