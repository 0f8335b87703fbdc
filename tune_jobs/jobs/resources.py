"""CPUs and GPUs that a trial reserves, and the checks that processes and machine can hold them."""

from __future__ import annotations

import math

from rungwise.validation import InputError
from tune_jobs.jobs.job_fields import JobFields, Settings


def holds_gpu(settings: Settings) -> bool:
    """Return whether a trial's own process learns, or acts on a GPU, where the job has GPUs."""
    return not settings.num_learners or (settings.acts_on_gpu and not settings.num_env_runners)


def count_gpu_processes(settings: Settings) -> int:
    """Return the number of processes of a trial that share its GPUs."""
    acting = settings.num_env_runners if settings.acts_on_gpu else 0
    return int(holds_gpu(settings)) + settings.num_learners + acting


def share_gpus(job: JobFields) -> float:
    """Return the GPUs of each process of a trial that learns or acts on one."""
    # Ray counts in parts of 1/10,000: rounded up, seven sevenths would not fit into a GPU.
    return math.floor(job.gpus_per_trial / count_gpu_processes(job.settings) * 1e4) / 1e4


def list_bundles(job: JobFields) -> list[dict[str, float]]:
    """List what a trial reserves: its own process first, then each env runner and learner.

    GPUs belong to the processes that learn (the trial's own, or its remote learners) and to those
    that act on one.
    """
    settings, share = job.settings, share_gpus(job)

    def reserve(cpus: float, on_gpu: bool) -> dict[str, float]:
        return {"CPU": cpus, "GPU": share} if on_gpu else {"CPU": cpus}

    return [
        reserve(job.cpus_per_trial, holds_gpu(settings)),
        *[reserve(1.0, settings.acts_on_gpu)] * settings.num_env_runners,
        *[reserve(1.0, True)] * settings.num_learners,
    ]


def check_gpus(job: JobFields) -> None:
    """Refuse shares of GPUs that Ray could never place, or that a process could not use.

    Raises:
        InputError: with the share to take instead.
    """
    settings, gpus = job.settings, job.gpus_per_trial
    count, share = count_gpu_processes(settings), share_gpus(job)
    if settings.acting_device == "gpu" and not gpus:
        raise InputError(
            "settings.acting_device is gpu, but gpus_per_trial is 0: set gpus_per_trial to 1, "
            "or acting_device to auto."
        )
    if share > 1:
        raise InputError(
            f"gpus_per_trial is {gpus:g}, but a process uses at most one GPU, and {count} of a "
            f"trial of this job can use one: set gpus_per_trial to at most {count}."
        )
    if 0 < share < 1 and settings.num_learners > 1:
        fewer = "acting_device to cpu, " if settings.acts_on_gpu else ""
        raise InputError(
            f"Each of the {settings.num_learners} learners needs a GPU of its own (NCCL), "
            f"but gpus_per_trial is {gpus:g} for {count} processes: set it to {count}, {fewer}"
            "or num_learners to 0."
        )
    if share and math.ceil(count / math.floor(1 / share)) > math.ceil(gpus):
        raise InputError(
            f"{count} processes of a trial of this job share {gpus:g} GPUs, {share:.3g} each, "
            f"and none can hold parts of two: set gpus_per_trial to 1 or {count}."
        )


def describe_missing_cuda(this_process: bool = True) -> str:
    """Say why torch cannot use a GPU that a process holds; empty if it can.

    Args:
        this_process: whether this process holds it. The GPUs of another process may be on another
            machine, so that only torch's build is judged.
    """
    import torch  # takes seconds, and every job imports this module

    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} was built without CUDA"
    if this_process and not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no GPU (is the NVIDIA driver older than CUDA?)"
    return ""


def check_resources(job: JobFields, cpus: int) -> None:
    """Refuse a job of which this machine can never hold a trial: Ray would wait for ever.

    Args:
        job: the job.
        cpus: CPUs that Ray offers on this machine.

    Raises:
        InputError: a trial reserves more CPUs or GPUs than there are.
    """
    offered = {"CPU": (cpus, "offer more with --cpus, or set fewer workers")}
    if job.gpus_per_trial:
        import torch

        missing = describe_missing_cuda()
        repair = "set --gpus-per-trial 0, or install torch's CUDA build where there is a GPU"
        lower = f"{missing}; {repair}" if missing else "set --gpus-per-trial lower"
        offered["GPU"] = torch.cuda.device_count(), lower
    for kind, (available, remedy) in offered.items():
        reserved = sum(bundle.get(kind, 0.0) for bundle in list_bundles(job))
        if reserved > available:
            kinds = kind if reserved == 1 else f"{kind}s"
            raise InputError(
                f"All processes of a trial of this job hold {reserved:g} {kinds}, but this "
                f"machine offers {available}: {remedy}."
            )
