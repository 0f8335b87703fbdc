"""A kind of action of your own: values that are chosen by their order of magnitude.

A dose from .001 to 1,000 in half ranges around the middle is nearly always above 1. This head lets
the policy choose the logarithm. Put it into the module that registers your environment;
``python action_kind.py`` trains with it and without.
"""

from __future__ import annotations

from typing import Any, Self

import gymnasium
import numpy as np
import ray
import torch
from gymnasium import spaces

from algos.actions.array_backend import get_array_module, to_array_like, to_dtype
from algos.actions.kinds import KINDS, make_action_head
from algos.actions.numpy_actions import ActionColumns, Array
from algos.actions.values import BoxHead
from algos.ppo import PPO, PPOSettings


class LogScaleHead(BoxHead):
    """Values between positive bounds that are at least two orders of magnitude apart.

    Distribution, scores and draws are those of :class:`BoxHead`, so perceptrons learn as quickly.
    """

    @classmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """Return the head of such a Box."""
        if not isinstance(space, spaces.Box) or (space.low <= 0).any():
            return None
        return cls(space) if (space.high / space.low >= 100).all() else None

    def to_env_action(self, action: ActionColumns) -> Any:
        """Return values from columns in half orders of magnitude around the geometric middle.

        Columns are arrays while a policy acts, and tensors in ``rungwise export``.
        """
        value = action["value"].reshape(-1, *self.space.shape)
        ends = self.low, self.high, np.log(self.low), np.log(self.high)
        low, high, log_low, log_high = (to_array_like(end, value) for end in ends)
        value = get_array_module(value).exp(log_low + (value + 1) / 2 * (log_high - log_low))
        return to_dtype(value.clip(low, high), self.space.dtype)

    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """Return the columns of values."""
        low, high = np.log(self.low), np.log(self.high)
        value = 2 * (np.log(np.asarray(action)) - low) / (high - low) - 1
        return {"value": value.reshape(len(value), -1).astype(np.float32)}


class Dose(gymnasium.Env[Array, Array]):
    """The dose that is asked for, by its logarithm, is to be met to within a small factor."""

    observation_space = spaces.Box(-3, 3, (1,), np.float32)
    action_space = spaces.Box(1e-3, 1e3, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.asked = self.np_random.uniform(-3, 3, 1).astype(np.float32)
        return self.asked, {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        away = float(np.abs(np.log10(action) - self.asked)[0])
        return self.asked, -away, True, False, {}


gymnasium.register("Dose-v0", Dose)  # type: ignore[arg-type]


def main() -> None:
    torch.set_num_threads(1)  # threads that wait for each other cost more than such a network
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    settings = PPOSettings(rollout_length=128)
    for kinds in ([], [LogScaleHead]):
        KINDS[:0] = kinds
        config = PPO.get_default_config().environment("Dose-v0").debugging(seed=0)
        algorithm: Any = config.configure_training(settings, 10).build_algo()
        for _ in range(9):
            algorithm.train()
        metrics = algorithm.train()
        head = type(make_action_head(Dose.action_space)).__name__
        print(f"{head}: mean return {metrics['return_mean']:.2f} after 10 iterations")
        algorithm.stop()


if __name__ == "__main__":
    main()
