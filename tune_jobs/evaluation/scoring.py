"""The metric that a job is scored by, and its value on held-out seeds during training."""

from __future__ import annotations

from typing import Any

from algos.metrics import METRICS
from algos.policy import Policy
from envs.validation import InputError, unknown_name_error
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.players import (
    make_sampled_player,
    play_gym_episodes,
    play_world_episodes,
    summarise_gym_episodes,
)
from tune_jobs.foreign_logs.names import match_metrics
from tune_jobs.jobs.job import Job
from tune_jobs.run_log.trial_outcome import HELD_OUT


def resolve_metric(job: Job) -> tuple[str, Any]:
    """Return the metric and mode of a job, filled in from the environment where they are empty.

    Raises:
        InputError: a metric that is never reported, or one whose mode is not known.
    """
    if job.is_program:
        return _resolve_program_metric(job)
    # Before a run, not in its trials: a misspelt metric would give every trial no score at all.
    world = make_world(job.env, job.env_kwargs)
    metric = job.metric or (world.score_metric if world else "return_mean")
    known = {*METRICS, *(world.episode_metrics if world else ())}
    if metric.startswith(HELD_OUT) and not job.held_out_interval:
        raise InputError(
            f"metric={metric} is measured on held-out seeds, but held_out_interval is 0: set it to "
            "the iterations between two held-out evaluations, such as 5."
        )
    seen = metric.removeprefix(HELD_OUT)
    if seen != metric:
        # A held-out evaluation measures episodes only, so losses and the like are not among it.
        known = {"return_mean"} if world is None else set(world.episode_metrics)
    if seen not in known:
        raise unknown_name_error("metric", metric, known, f"for {job.env}")
    if job.mode:
        return metric, job.mode
    if world and seen == world.score_metric:
        return metric, world.score_mode
    if seen.startswith("return"):
        return metric, "max"
    raise InputError(f"mode must say whether a small (min) or large (max) {metric} is good.")


def _resolve_program_metric(job: Job) -> tuple[str, Any]:
    """Return the metric and mode of a job whose trials are programs: any name in their logs."""
    metric = job.metric or "return_mean"
    known = match_metrics([metric], job.program.rename).get(metric)
    if job.mode or (known.name if known else metric).startswith("return"):
        return metric, job.mode or "max"
    raise InputError(f"mode must say whether a small (min) or large (max) {metric} is good.")


def evaluate_held_out(policy: Policy, job: Job) -> dict[str, float]:
    """Return the metrics ``held_out_...`` of a policy under training on the job's held-out seeds.

    The comparison with baselines and the finals have other seeds: these held-out episodes choose
    the checkpoint and the trial, and would flatter whatever is measured on them afterwards.
    """
    # Below it lie the seeds of the comparison [0, most) and of the finals [most, 2 most).
    seed, episodes = 2 * job.most_evaluated, job.held_out_episodes
    env, env_kwargs = policy.metadata["env"], policy.full_evaluation_env_kwargs
    act, world = make_sampled_player(policy, seed), make_world(env, env_kwargs, policy)
    if world is None:
        played = play_gym_episodes(env, env_kwargs, {"policy": act}, episodes, seed)["policy"]
        figures = summarise_gym_episodes(played)
    else:
        metrics = play_world_episodes(world, act, episodes, seed).metrics
        figures = {name: float(metrics[name].mean()) for name in world.episode_metrics}
        figures |= world.summarise(metrics)
    return {HELD_OUT + name: figure for name, figure in figures.items()}
