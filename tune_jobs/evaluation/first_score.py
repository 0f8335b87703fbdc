"""Estimate the iteration of a trial's first score before the trial starts.

A score needs finished episodes. Where no episode ends before its limit (locomotion, pendulums), the
first ones finish only after ``limit / rollout_length`` iterations: later than a first rung of a few
iterations, and possibly later than the whole budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from algos import get_algorithm_class
from algos.settings.training import TrainingSettings
from rungwise.formatting import count
from tune_jobs.evaluation.scoring import FEWEST, is_episode_mean
from tune_jobs.jobs.job import Job

EPISODES_EACH = 2
"""Episodes of each copy that a budget should hold: of a single one the policy at its end knows the
last part only."""


@dataclass(frozen=True)
class EpisodePace:
    """The pace at which a trial finishes episodes if each lasts until its limit."""

    limit: int
    """Steps after which an episode is cut off."""
    rollout_length: int
    """Steps of each copy of the environment in an iteration."""
    copies: int
    """Copies of the environment, over all runners."""
    reset_steps: int = 0
    """Steps between two episodes that only reset the environment."""

    def iterations(self, episodes: int) -> int:
        """Return the iterations after which ``episodes`` have finished."""
        # Copies run side by side and their episodes all last equally long, so they finish in
        # waves of `copies` episodes.
        each = math.ceil(episodes / self.copies)
        steps = each * self.limit + (each - 1) * self.reset_steps
        return math.ceil(steps / self.rollout_length)

    def __str__(self) -> str:
        return (
            f"an episode is cut off after {count(self.limit, 'step')}, and each of "
            f"{count(self.copies, 'copy', 'copies')} takes {self.rollout_length:,} in an iteration"
        )


def estimate_pace(job: Job) -> EpisodePace | None:
    """Return the pace of a job's slowest trial; None where it is not known.

    It is not where episodes have no limit, nor of RLlib's own algorithms.
    """
    if not isinstance(job.settings, TrainingSettings):
        return None
    from gymnasium.vector import AutoresetMode  # late, as below: a program needs no Gymnasium

    from algos.rollouts.env_factory import make_vector_env
    from envs.adapters.time_limit import find_time_limit

    env = make_vector_env(job.env, job.env_kwargs, 1)
    try:
        limit = find_time_limit(env)
        resets = env.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
    finally:
        env.close()
    if not limit:
        return None
    paces = [
        _pace(job, job.make_trial_settings(drawn)[0], limit, resets)
        for drawn in job.sample_configs_to_validate()
    ]
    return max(paces, key=lambda pace: pace.iterations(FEWEST))


def _pace(job: Job, settings: TrainingSettings, limit: int, resets: bool) -> EpisodePace:
    copies = settings.num_envs * settings.runners
    if "starts" in get_algorithm_class(job.algo).objective_class(settings).needs:
        # These algorithms start new episodes in each iteration and cut them off at its end.
        limit, resets = min(limit, settings.rollout_length), False
        return EpisodePace(limit, limit, copies)
    return EpisodePace(limit, settings.rollout_length, copies, int(resets))


def explain_late_score(job: Job, pace: EpisodePace) -> str:
    """Return a warning if trials may have no score at their first rung, or none at all.

    Empty otherwise. The estimate is a worst case: episodes that end by themselves are shorter.
    """
    if not is_episode_mean(job.metric):
        return ""
    # One episode is enough at the end of the budget, FEWEST before it (see `TrialTrainable`).
    first = pace.iterations(FEWEST)
    if pace.iterations(1) > job.iterations:
        never = f"No episode that lasts until its limit can finish in {job.iterations} iterations"
        return (
            f"{never}, so that trials may be scored by their mean reward per step alone: {pace}. "
            f"{_suggest_longer(pace)}{suggest_fewer_copies(pace, job.iterations)}"
        )
    if not job.rungs or first <= job.rungs[0]:
        return ""
    said = (
        f"The first rung is at iteration {job.rungs[0]}. A score needs {FEWEST} episodes; at full "
        f"length the {FEWEST}th ends at iteration {first}: {pace}. "
        "Until then trials are undecided and continue past their rungs."
    )
    if first < job.iterations:
        return f"{said} Set --grace {first}, or raise --settings.rollout-length."
    longer = _format_length(pace, 2 * first)
    return f"{said} Set --grace {first} and {longer}, or raise --settings.rollout-length."


def suggest_fewer_copies(pace: EpisodePace, iterations: int) -> str:
    """Return how the same steps hold whole episodes; empty where they cannot.

    Fewer copies take more steps each: half as many with a rollout of twice the length cost the
    same, and an iteration has as many rows.
    """
    copies, length = pace.copies, pace.rollout_length
    while copies > 1 and EPISODES_EACH * pace.limit > length * iterations:
        copies, length = copies // 2, pace.rollout_length * pace.copies // (copies // 2)
    if copies == pace.copies or EPISODES_EACH * pace.limit > length * iterations:
        return ""
    return (
        f" Or let fewer copies finish some in the same steps: --settings.num-envs {copies} and "
        f"--settings.rollout-length {length}."
    )


def explain_missing_score(
    job: Job, pace: EpisodePace | None, episodes: int, iterations: int
) -> str:
    """Return why no trial of a job has a score, and what to do.

    Args:
        job: the job.
        pace: the pace of its slowest trial; None where it is not known.
        episodes: finished episodes of the trial with the most of them.
        iterations: iterations of that trial.
    """
    if job.is_program:
        return f"no log of the program had {job.metric}"
    if not is_episode_mean(job.metric):
        return f"no iteration measured {job.metric}"
    ran = count(iterations, "iteration")
    if episodes:
        return f"only {count(episodes, 'episode')} finished in {ran}, and a score needs {FEWEST}"
    said = f"no episode finished in {ran}"
    if isinstance(job.settings, TrainingSettings):
        said += f" of {count(job.training.rows_per_iteration, 'step')}"
    return f"{said}: {pace}. {_suggest_longer(pace)}" if pace else said


def _suggest_longer(pace: EpisodePace) -> str:
    longest = _format_length(pace, pace.iterations(FEWEST))
    return f"Set at least {longest}, or raise --settings.rollout-length."


def _format_length(pace: EpisodePace, iterations: int) -> str:
    """Return the flags of a length, by iterations or by steps, as a job has one of them."""
    steps = iterations * pace.rollout_length * pace.copies
    return f"--iterations {iterations} (--steps {steps})"
