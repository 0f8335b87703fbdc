"""The curve points of a trial's result, under the names that trackers show.

A name is that of the catalogue in a group: ``rollout/return_mean``, ``train/kl``,
``health/nonfinite``, ``time/env_steps_per_s``, ``eval/held_out_gain``. The score has none. What an
environment measures itself is in ``rollout``.

Trials of thoughts also have the metric names of the Quiet-STaR post-mortem, for comparison with its
dashboards; each is measured here as what its name says.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from rungwise.metrics import find_group
from rungwise.run_log.events import ResultRow, Row
from rungwise.run_log.json_types import parse_metrics

SCORE = "score"
THOUGHTS = "log_p_with"
"""Metric that identifies a trial of thoughts."""
EPISODES = "rl/episode"
POST_MORTEM: Mapping[str, tuple[str, ...]] = {
    "rl/reward": ("return_mean",),
    "rl/avg_reward_100": ("return_mean_100",),
    "rl/policy_loss": ("policy_loss",),
    "rl/value_loss": ("value_loss",),
    "rl/entropy": ("entropy",),
    "rl/entropy_coefficient": ("entropy_coef",),
    "rl/advantages": ("advantage_mean",),
    "rl/kl_divergence": ("reference_kl", "kl"),
    "rl/total_loss": ("total_loss",),
    "rl/num_thoughts": ("episodes",),
    "rl/coherence": ("held_out_mean_coherence",),
    "rl/learning_rate": ("lr",),
    "rl/anti_theater_divergence": ("held_out_divergence",),
    "rl/anti_theater_ablation": ("held_out_gain",),
    "rl/anti_theater_correlation": ("held_out_coherence",),
    "rl/anti_theater_all_passed": ("held_out_proved",),
}
"""Name of the post-mortem -> our metric, or several of which the first that exists is taken."""


class CurvePoints:
    """Converts results to curve points; counts the episodes of each trial over sessions.

    Args:
        earlier: the event rows of earlier sessions.
    """

    def __init__(self, earlier: Iterable[Row] = ()) -> None:
        self.episodes: dict[str, dict[int, float]] = {}
        for row in earlier:
            if isinstance(row, ResultRow):
                self._note(row.trial, row.iteration, row.metrics)

    def __call__(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of a result of ``TrialTrainable.step``, by curve name."""
        metrics = parse_metrics(result["metrics"])
        numbers: dict[str, float] = {n: v for n, v in metrics.items() if isinstance(v, int | float)}
        self._note(result["trial"], result["iteration"], numbers)
        points = {add_group(name): value for name, value in numbers.items()}
        if THOUGHTS in numbers:
            points |= rename_for_post_mortem(numbers)
            points[EPISODES] = sum(self.episodes[result["trial"]].values())
        if result["score"] is not None:  # a curve has no point where a trial is undecided
            points[SCORE] = result["score"]
        return points

    def _note(self, trial: str, iteration: int, metrics: Mapping[str, Any]) -> None:
        # The iteration is the key: a restored trial runs again what came after its checkpoint.
        self.episodes.setdefault(trial, {})[iteration] = metrics.get("episodes", 0)


@functools.lru_cache(maxsize=4096)
def add_group(name: str) -> str:
    """Return the name of a metric in its group; a name with a group stays."""
    if "/" in name:
        return name
    if name.startswith("held_out_"):
        return f"eval/{name}"
    return f"{find_group(name)[0]}/{name}"


def rename_for_post_mortem(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return metrics under the names of the post-mortem, without those that are missing."""
    first = {
        name: next((numbers[metric] for metric in metrics if metric in numbers), None)
        for name, metrics in POST_MORTEM.items()
    }
    return {name: value for name, value in first.items() if value is not None}
