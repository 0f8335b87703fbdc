"""Parts of an algorithm's loss: losses per row, exploration bonuses, and their metrics.

``loss_functions.py`` has the formulas, ``exploration.py`` the bonuses; ``loss_expressions.py``
differentiates a loss of a small network without autograd.
"""

from __future__ import annotations

from algos.losses.exploration import (
    compute_entropy_metrics,
    compute_exploration_terms,
    marginal_entropy,
    over_choices,
)
from algos.losses.loss_functions import (
    astar_regression,
    average_over_rows,
    clip_fraction,
    clipped_surrogate,
    compute_logps_and_advantages,
    dpo_loss,
    kl_estimate,
    sum_loss_terms,
    value_error,
)

__all__ = [
    "astar_regression",
    "average_over_rows",
    "clip_fraction",
    "clipped_surrogate",
    "compute_entropy_metrics",
    "compute_exploration_terms",
    "compute_logps_and_advantages",
    "dpo_loss",
    "kl_estimate",
    "marginal_entropy",
    "over_choices",
    "sum_loss_terms",
    "value_error",
]
