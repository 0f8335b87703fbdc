"""The randomness of a policy's actions where schedules set it: between an update and a rollout.

After the update, so that the old and new probabilities of a row differ only by learning.
"""

from __future__ import annotations

from typing import Any

import torch

from algos.models.base import PolicyModule
from algos.schedules import schedule, schedule_log_std
from algos.settings.training import TrainingSettings


def update_noise(
    progress: float, score: float | None, learner: Any, *_: object, **kwargs: object
) -> dict[str, float]:
    """Set what a learner's policy draws by in the next rollout, and return it.

    Args:
        progress: the fraction of the budget that is spent.
        score: the mean score of the episodes behind the update; None without any.
        learner: the learner.
        kwargs: RLlib's own arguments.
    """
    network, s = learner._get_policy_network(), learner.objective.settings
    return update_spread(network, s, progress, score) | update_temperature(network, s, progress)


@torch.no_grad()
def update_spread(
    network: PolicyModule, s: TrainingSettings, progress: float, score: float | None
) -> dict[str, float]:
    """Set the log standard deviation of values, unless it is learned; return their spread.

    Args:
        network: the policy.
        s: the settings.
        progress: the fraction of the budget that is spent.
        score: the mean score of the episodes behind the update; None without any.
    """
    if (log_std := network.log_std) is None:
        return {}
    if s.log_std_schedule != "learned":
        ends = s.initial_log_std, s.log_std_end
        to = schedule_log_std(s.log_std_schedule, *ends, progress, score, s.log_std_scores)
        if to is not None:
            log_std.fill_(to)
    return {"value_spread": float(log_std.exp().mean())}


def update_temperature(
    network: PolicyModule, s: TrainingSettings, progress: float
) -> dict[str, float]:
    """Set the temperature of the next rollout and return it, where there is one."""
    if (temperature := network.temperature) is None:
        return {}
    kind, ends = s.temperature_schedule, (s.temperature, s.temperature_end)
    return {"temperature": float(temperature.fill_(schedule(kind, *ends, progress)))}
