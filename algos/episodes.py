"""Statistics of episodes and rollouts, as array operations over all copies at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ZERO_REWARD = 0.01
"""A reward of smaller size counts as zero (the causal-learning post-mortem's limit)."""


@dataclass
class EpisodeStatistics:
    """Running return and length of the unfinished episodes of B copies; kept across rollouts."""

    copies: int
    names: tuple[str, ...] = ()
    """Entries of the environment's info whose last value describes a finished episode."""
    returns: Array = field(init=False)
    lengths: Array = field(init=False)

    def __post_init__(self) -> None:
        self.returns = np.zeros(self.copies, np.float64)
        self.lengths = np.zeros(self.copies, np.int64)


class RolloutStatistics:
    """What one rollout tells about the agent and the environment."""

    def __init__(self, episodes: EpisodeStatistics, choices: int) -> None:
        self.episodes, self.choices = episodes, choices
        self.finished: dict[str, list[Array]] = {}
        self.before_bonus: list[Array] = []

    def step(
        self, rewards: Array, done: Array, valid: Array, action: Mapping[str, Array], infos: Any
    ) -> None:
        """Take in one step of all copies."""
        running = self.episodes
        running.returns += np.where(valid, rewards, 0)
        running.lengths += valid
        if "reward_before_bonus" in infos:
            self.before_bonus.append(infos["reward_before_bonus"])
        if not done.any():
            return
        self._finish("episode_return", running.returns[done])
        self._finish("episode_length", running.lengths[done])
        # A next-step autoreset environment describes the finished episode in this step's info.
        final = infos.get("final_info", infos)
        for name in running.names:
            if name in final:
                self._finish(name, np.asarray(final[name])[done])
        running.returns[done] = 0
        running.lengths[done] = 0

    def _finish(self, name: str, values: Array) -> None:
        self.finished.setdefault(name, []).append(np.array(values))

    def summary(self, columns: Mapping[str, Array], rewards: Array, valid: Array) -> dict[str, Any]:
        """Flat statistics; sums and counts rather than means, so that runners can be merged."""
        base = np.stack(self.before_bonus) if self.before_bonus else rewards
        counted = rewards[valid]
        out: dict[str, Any] = {
            "steps": int(valid.sum()),
            "reward_sum": float(counted.sum()),
            "reward_square_sum": float(np.square(counted, dtype=np.float64).sum()),
            "zero_rewards": int((np.abs(base[valid]) < ZERO_REWARD).sum()),
            "episodes": {name: np.concatenate(parts) for name, parts in self.finished.items()},
        }
        if "choice" in columns:
            out["choices"] = np.bincount(columns["choice"][valid], minlength=self.choices)
        out["nonfinite"], out["nonfinite_where"] = nonfinite({**columns, "reward": rewards})
        return out


def nonfinite(columns: Mapping[str, Array]) -> tuple[int, str]:
    """Number of NaN and infinite entries of ``[T, B, ...]`` columns and where the first one is."""
    count, where = 0, ""
    for name, column in columns.items():
        if not np.issubdtype(column.dtype, np.floating):
            continue
        bad = ~np.isfinite(column)
        if not bad.any():
            continue
        if not where:
            t, copy = np.argwhere(bad)[0][:2]
            where = f"{name} at step {t} of the rollout in copy {copy}"
        count += int(bad.sum())
    return count, where


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The statistics of several runners as flat metrics (names in ``algos/metrics.py``)."""
    steps = max(sum(part["steps"] for part in parts), 1)
    mean = sum(part["reward_sum"] for part in parts) / steps
    square = sum(part["reward_square_sum"] for part in parts) / steps
    metrics: dict[str, Any] = {
        "reward_mean": mean,
        "reward_std": float(np.sqrt(max(square - mean**2, 0))),
        "reward_zero_share": sum(part["zero_rewards"] for part in parts) / steps,
        "sample_s": max(part["sample_s"] for part in parts),
        "nonfinite": sum(part["nonfinite"] for part in parts),
        "nonfinite_where": next((p["nonfinite_where"] for p in parts if p["nonfinite"]), ""),
    }
    finished = {
        name: np.concatenate([p["episodes"][name] for p in parts if name in p["episodes"]])
        for name in {name for part in parts for name in part["episodes"]}
    }
    returns = finished.pop("episode_return", np.empty(0))
    metrics["episodes"] = len(returns)
    if len(returns):
        metrics |= {
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "return_min": float(returns.min()),
            "return_max": float(returns.max()),
            "episode_length": float(finished.pop("episode_length").mean()),
        }
        metrics |= {name: float(np.mean(values)) for name, values in finished.items()}
    if "choices" in parts[0]:
        counts: Array = np.sum([part["choices"] for part in parts], axis=0)
        shares = counts / max(counts.sum(), 1)
        metrics |= {"choice_shares": shares.tolist(), "choice_share_max": float(shares.max())}
    return metrics
