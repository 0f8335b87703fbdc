"""Which shares of GPUs the processes of a trial can hold."""

from __future__ import annotations

import math

from envs.validation import InputError
from tune_jobs.jobs.settings_class import Settings


def check_gpus(settings: Settings, count: int, gpus: float, share: float) -> None:
    """Refuse shares of GPUs that Ray could never place, or that a process could not use.

    Args:
        settings: of the trials.
        count: processes of a trial that can use a GPU.
        gpus: GPUs of a trial.
        share: GPUs of each of these processes.

    Raises:
        InputError: with the share to take instead.
    """
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
