"""Synthetic runs for the health tests: one metric, one curve."""

from typing import Any, NamedTuple

import numpy as np

from rungwise.health import RULES, History, Rule

Curve = Any
"""A constant, a sequence of one value per row, or a function of the iteration."""

Metrics = dict[str, Curve]


def make_rows(n: int, **metrics: Curve) -> list[dict[str, Any]]:
    """n rows of metrics; a value of None leaves the metric out of that row."""
    rows: list[dict[str, Any]] = []
    for i in range(n):
        row: dict[str, Any] = {"iteration": i + 1}
        for name, curve in metrics.items():
            value = _at(curve, i)
            if value is not None:
                row[name] = value
        rows.append(row)
    return rows


def _at(curve: Curve, i: int) -> Any:
    if callable(curve):
        return curve(i + 1)
    if isinstance(curve, int | float):
        return float(curve)
    return curve[i]


def history(n: int, budget: Any = None, **metrics: Curve) -> History:
    return History(make_rows(n, **metrics), budget or n)


def seen(rule: Rule, n: int, budget: Any = None, **metrics: Curve) -> Any:
    """(severity, since) of the finding, or None."""
    finding = rule(history(n, budget, **metrics))
    return finding and (finding.severity, finding.since)


def from_row(row: int, late: Any, early: Any) -> Curve:
    return lambda i: late if i >= row else early


def flat(n: int, level: float = 1.0, noise: float = 0.1, seed: int = 0) -> list[float]:
    return np.random.default_rng(seed).normal(level, noise, n).tolist()


def rising(n: int, low: float = 0.0, high: float = 1.0, noise: float = 0.03) -> list[float]:
    """Learns as healthy runs do: steeply at first, then on a plateau."""
    t = np.arange(n) / n
    curve = low + (high - low) * (1 - np.exp(-6 * t))
    return (curve + np.random.default_rng(1).normal(0, noise, n)).tolist()


HEALTHY: dict[str, Curve] = {
    "episodes": 50,
    "episode_length": 25,
    "env_steps": lambda i: 2048.0 * i,
    "zero_reward_fraction": 0.3,
    "rewarded_episode_fraction": 0.9,
    "choice_fractions": lambda i: [0.3, 0.25, 0.2, 0.15, 0.1],
    "choice_fraction_max": 0.3,
    "entropy": lambda i: 1.5 - 0.002 * i,
    "entropy_normalised": lambda i: 0.93 - 0.001 * i,
    "explained_variance": 0.7,
    "value_loss": lambda i: 1.0 / i,
    "policy_loss": -0.01,
    "kl": 0.01,
    "kl_max": 0.03,
    "clip_fraction": 0.1,
    "grad_norm": 0.4,
    "grad_clip_fraction": 0.2,
    "grad_clip": 0.5,
    "grad_norm_head": 0.1,
    "grad_norm_backbone": 0.3,
    "lr": 3e-4,
    "gamma": 0.99,
    "exploration_rate": lambda i: max(0.05, 1 - 0.1 * i),
    "updates": 64,
    "nonfinite": 0,
    "runners_lost": 0,
    "reward_std": 1.0,
    "reward_abs_max": 2.0,
    "success_rate": lambda i: min(1.0, 0.05 * i),
    "truncated_fraction": 0.3,
    "running_length_max": 25,
    "time_limit": 500,
    "observation_abs_max": 3.0,
    "observation_constant_fraction": 0.2,
    "normaliser_constant_fraction": 0.2,
    "group_signal": 0.8,
    "advantage_mean": 0.1,
    "advantage_std": 1.0,
    "advantage_negative_fraction": 0.5,
    "advantage_clip_fraction": 0.01,
    "v_star_starts": 1000,
    "v_star_starts_left": 0,
    "v_star_flat_fraction": 0.2,
    "v_star_failed_fraction": 0.6,
    "reference_samples": 8,
    "starts": 1000,
    "entropy_coef": 0.01,
    "grad_norm_policy": 0.2,
    "grad_norm_value": 0.3,
    "grad_norm_entropy": 0.01,
    "update_ratio": 0.02,
    "dead_unit_fraction": 0.1,
    "encoder_constant_fraction": 0.3,
    "feature_constant_fraction": 0.2,
    "memory_effect_fraction": 0.4,
    "value_abs_max": 5.0,
    "target_abs_max": 6.0,
    "action_clip_fraction": 0.3,
    "range_utilisation": 0.7,
    "episode_improvement": 0.2,
    "return_mean": lambda i: 1.0 - 0.9**i,
    "held_out_return_mean": lambda i: 0.9 - 0.9**i,
    "reference_kl": 0.05,
    "iteration_s": 1.5,
    "log_p_with": lambda i: -2.0 * 0.9**i,
    "log_p_without": -1.6,
    "log_p_shuffled": -3.0,
    "log_p_random": -3.0,
}
"""A full set of metrics none of which is sick; a test overrides the one it is about."""


def severity(rule: Rule, n: int, budget: Any = None, **metrics: Curve) -> str | None:
    """Severity of the finding, or None."""
    finding = rule(history(n, budget, **metrics))
    return finding.severity if finding else None


def scores_with_tau(n: int, tau: float) -> list[float]:
    """Scores with this Kendall's tau whose gain is far too small to count as improvement."""
    left, inversions = list(range(n)), round((1 - tau) * n * (n - 1) / 4)
    order: list[int] = []
    while left:  # Lehmer code: taking the k-th smallest left adds k inversions
        k = min(inversions, len(left) - 1)
        inversions -= k
        order.append(left.pop(k))
    return [1 + 1e-5 * rank for rank in order]


class Case(NamedTuple):
    """A run and the finding of one rule in it."""

    symptom: str
    expected: tuple[str, int] | str | None
    """Severity and first iteration, or the severity alone; None for no finding."""
    metrics: Metrics
    n: int
    budget: int | None
    score: Any

    def check(self) -> None:
        """The rule finds what is expected."""
        metrics = self.metrics if self.score is None else self.metrics | {"score": self.score}
        finding = RULES[self.symptom](history(self.n, self.budget, **metrics))
        if isinstance(self.expected, tuple):
            assert finding and (finding.severity, finding.since) == self.expected
        else:
            assert (finding.severity if finding else None) == self.expected

    def __str__(self) -> str:
        return f"{self.symptom}-{self.expected}"


def case(
    symptom: str,
    expected: tuple[str, int] | str | None,
    metrics: Metrics,
    n: int = 27,
    budget: int | None = None,
    score: Curve = flat,
) -> Case:
    """A run of ``n`` rows; its score, flat by default, is a curve, a function of ``n``, or None."""
    return Case(symptom, expected, metrics, n, budget, score(n) if callable(score) else score)


def cases(symptom: str, base: Metrics, *rows: tuple[Any, Metrics], **options: Any) -> list[Case]:
    """Runs of one rule that differ from the base: expected finding and change of each."""
    return [case(symptom, expected, base | change, **options) for expected, change in rows]
