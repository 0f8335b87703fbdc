"""Estimate how long stage 1 and the training of an A*-PO job take, before they start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from algos.astar_po import AStarPOSettings
from algos.settings.training import TrainingSettings
from rungwise.formatting import count, format_duration
from tune_jobs.jobs.job import Job

GPU_FLOPS, CORE_FLOPS = 1e14, 5e10
"""Operations per second assumed of a data-centre GPU (an A100, say) and of a CPU core."""
CANDIDATES = 12
"""Usual number of actions that can be taken in a step of the shop."""
FORWARD, UPDATE = 2, 8
"""Operations per parameter and token: of acting, and of an epoch (forward and backward pass, and
the reference's forward pass)."""


@dataclass(frozen=True)
class LanguageModelWork:
    """Size of a language model and of what it reads."""

    parameters: float
    tokens_per_step: int

    def estimate_seconds(self, steps: int, operations: float, flops: float) -> float:
        """Return the seconds of this many steps, at ``operations`` per parameter and token."""
        return steps * self.tokens_per_step * self.parameters * operations / flops


def describe_rollouts(job: Job) -> str:
    """Describe rollouts that are shortened for a small budget; empty for all others."""
    if not isinstance(job.settings, TrainingSettings):
        return ""
    length, usual = job.training.rollout_length, job.settings.fit_to_budget(0).rollout_length
    if length == usual:
        return ""
    return (
        f"Rollouts of {length} steps in place of {usual} (settings.rollout_length), so that "
        f"{job.steps:,} steps hold {count(job.iterations, 'update')}"
    )


def describe_stage_1(job: Job) -> str:
    """Describe the work before and in the training of an A*-PO job; empty for other jobs."""
    s = job.settings
    if not isinstance(s, AStarPOSettings):
        return ""
    before, during = s.starts * s.reference_samples, job.iterations * s.rows_per_iteration
    text = (
        f"Stage 1 plays {count(before, 'episode')} before the first iteration "
        f"({count(s.starts, 'start')}, {count(s.reference_samples, 'sample')} each), training "
        f"{during:,}, of at most {count(s.rollout_length, 'step')}"
    )
    work = _measure_language_model(job)
    if work is None:
        return text
    on_gpu = job.gpus_per_trial > 0
    flops = GPU_FLOPS * job.gpus_per_trial if on_gpu else CORE_FLOPS * job.cpus_per_trial
    first = work.estimate_seconds(before * s.rollout_length, FORWARD, flops)
    rest = work.estimate_seconds(during * s.rollout_length, FORWARD + UPDATE * s.epochs, flops)
    where = "on a GPU of 100 TFLOP/s" if on_gpu else "without a GPU (set --gpus-per-trial 1)"
    return (
        f"{text}; with {work.parameters / 1e9:.2g} billion parameters about "
        f"{format_duration(first)} and {format_duration(rest)} {where}, if episodes last so long"
    )


def _measure_language_model(job: Job) -> LanguageModelWork | None:
    """Return the size of the user's model; None where there is none, or not in safetensors."""
    folder = job.training.language_model
    files = list(Path(folder).glob("*.safetensors")) if folder else []
    if not files:
        return None
    kwargs = job.env_kwargs
    tokens = kwargs.get("prompt_tokens", 128) + CANDIDATES * kwargs.get("action_tokens", 24)
    # Two bytes per parameter, as models are published.
    return LanguageModelWork(sum(file.stat().st_size for file in files) / 2, tokens)
