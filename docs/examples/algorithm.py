"""An algorithm of your own: settings, advantage, loss.

Advantage-weighted regression (Peng et al. 2019) imitates each action of a rollout with the weight
``exp(advantage / beta)``. To use it on the command line, put the file into ``algos/`` and add it to
``ALGORITHMS`` in ``algos/__init__.py``; ``python algorithm.py`` trains it on CartPole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import ray
import torch
from torch import Tensor

from algos.algorithm import ColumnAlgorithm
from algos.losses import value_error
from algos.objective import Loss, Objective
from algos.rollouts.advantages import gae
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout, normalise_advantages
from algos.settings.training import TrainingSettings
from rungwise.validation import Fraction, Positive


@dataclass(frozen=True)
class AWRSettings(TrainingSettings):
    """Every field is a flag, a YAML key and searchable."""

    lam: Annotated[float, Fraction] = 0.95
    """Lambda of GAE."""
    beta: Annotated[float, Positive] = 1.0
    """Temperature of the weights, in standard deviations of the advantage."""
    weight_limit: Annotated[float, Positive] = 20.0
    """Largest weight of an action."""


class AWRObjective(Objective[AWRSettings]):
    """Pure functions of rollouts and batches; the loop calls them in this order."""

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """Turn a rollout [T, B] into rows [N] with advantage and return."""
        s, r = self.settings, rollout
        advantages = gae(r.rewards, r.values, r.next_values, r.done, s.gamma, s.lam)
        return r.to_rows(advantages=advantages, returns=advantages + r.values)

    def preprocess_batch(self, rows: Columns) -> tuple[Columns, dict[str, float]]:
        """Normalise the advantages of all runners together."""
        metrics = {"advantage_std": float(rows["advantages"].std())}
        return normalise_advantages(rows), metrics

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return the weighted imitation error and the value error of a minibatch."""
        s = self.settings
        weights = (batch["advantages"] / s.beta).exp().clamp(max=s.weight_limit)
        imitation = -weights * forward["dist"].logp(batch)
        error = value_error(forward["value"], batch["returns"])

        def measure() -> dict[str, Tensor]:
            return {"policy_loss": imitation.mean(), "value_loss": error.mean()}

        return Loss({"policy": imitation, "value": 0.5 * error}, measure)


class AWR(ColumnAlgorithm):
    """The training loop with this objective."""

    settings_class = AWRSettings
    objective_class = AWRObjective


def main() -> None:
    torch.set_num_threads(1)  # threads that wait for each other cost more than such a network
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    settings = AWRSettings(rollout_length=256, lr=1e-3, epochs=8, entropy_coef=0.0)
    config = AWR.get_default_config()
    config.environment("CartPole-v1").debugging(seed=0)
    algorithm: Any = config.configure_training(settings, 20).build_algo()
    for _ in range(19):
        algorithm.train()
    metrics = algorithm.train()
    print(f"mean return {metrics['return_mean']:.0f} after 20 iterations")
    algorithm.stop()


if __name__ == "__main__":
    main()
