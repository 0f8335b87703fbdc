"""CPUs and GPUs that a trial reserves, and the check that this machine has them."""

from __future__ import annotations

import torch

from envs.validation import InputError
from tune_jobs.jobs.job import Job


def list_bundles(job: Job) -> list[dict[str, float]]:
    """List what a trial reserves: its own process first, then each env runner and learner.

    GPUs belong to the processes that learn (the trial's own, or its remote learners) and to those
    that act on one.
    """
    settings, share = job.settings, job.gpus_per_process

    def reserve(cpus: float, holds_gpu: bool) -> dict[str, float]:
        return {"CPU": cpus, "GPU": share} if holds_gpu else {"CPU": cpus}

    return [
        reserve(job.cpus_per_trial, job.trial_holds_gpu),
        *[reserve(1.0, settings.acts_on_gpu)] * settings.num_env_runners,
        *[reserve(1.0, True)] * settings.num_learners,
    ]


def describe_missing_cuda(this_process: bool = True) -> str:
    """Say why torch cannot use a GPU that a process holds; empty if it can.

    Args:
        this_process: whether this process holds it. The GPUs of another process may be on another
            machine, so that only torch's build is judged.
    """
    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} was built without CUDA"
    if this_process and not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no GPU (is the NVIDIA driver older than CUDA?)"
    return ""


def check_resources(job: Job, cpus: int) -> None:
    """Refuse a job of which this machine can never hold a trial: Ray would wait for ever.

    Args:
        job: the job.
        cpus: CPUs that Ray offers on this machine.

    Raises:
        InputError: a trial reserves more CPUs or GPUs than there are.
    """
    missing = describe_missing_cuda()
    repair = "set --gpus-per-trial 0, or install torch's CUDA build where there is a GPU"
    lower = f"{missing}; {repair}" if missing else ""
    for kind, available, remedy in (
        ("CPU", cpus, "offer more with --cpus, or set fewer workers"),
        ("GPU", torch.cuda.device_count(), lower or "set --gpus-per-trial lower"),
    ):
        reserved = sum(bundle.get(kind, 0.0) for bundle in list_bundles(job))
        if reserved > available:
            kinds = kind if reserved == 1 else f"{kind}s"
            raise InputError(
                f"All processes of a trial of this job hold {reserved:g} {kinds}, but this machine "
                f"offers {available}: {remedy}."
            )
