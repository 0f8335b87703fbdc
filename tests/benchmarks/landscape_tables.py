# pyright: basic
"""Published learning curves as tables of trials."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tune_jobs.jobs.search_space import LEARNING_RATE, UNUSUAL, USUAL_RATES

EPISODES = 128
"""Episodes of which each point of the tables is a mean."""
DATA = Path(__file__).parents[3] / "shared" / "data" / "arlbench"


@dataclass(frozen=True)
class Trial:
    """A setting of a table and one of its training seeds."""

    id: str
    setting: int
    results: list[SimpleNamespace]


@dataclass(frozen=True)
class Table:
    """The learning curves of a pair of environment and algorithm."""

    name: str
    curves: np.ndarray
    """``[settings, seeds, points]``; NaN where training has diverged."""
    names: list[str]
    settings: np.ndarray
    """``[settings, names]``, as text."""
    seeds: int = 1
    """Seeds that each trial trains on; its score is their mean."""
    noise: float = 0.0
    """Standard error that is added to each point, in standard deviations over the seeds."""

    @functools.cached_property
    def value(self) -> np.ndarray:
        """The mean of the last point over the seeds; one that has diverged is the worst."""
        last = np.nan_to_num(self.curves[:, :, -1], nan=np.nanmin(self.curves))
        return last.mean(1)

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """How often Rungwise draws each setting, beside the others."""
        found = np.ones(len(self.settings))
        for name, texts in zip(self.names, self.settings.T, strict=True):
            if LEARNING_RATE.search(name):
                rates = texts.astype(float)
                usual = (rates >= USUAL_RATES[0]) & (rates <= USUAL_RATES[1])
                found *= np.where(usual, 1.0, UNUSUAL)
        return found / found.sum()

    def regret(self, setting: int) -> float:
        best = self.value.max()
        return float(min((best - self.value[setting]) / (best - np.median(self.value)), 2.0))

    def run(self, setting: int, name: str, rng: np.random.Generator) -> Trial:
        """A trial of a setting, on as many random seeds as trials have."""
        seeds = rng.choice(self.curves.shape[1], self.seeds, replace=False)
        curve = self.curves[setting, seeds].mean(0)
        errors = np.zeros(len(curve))
        if self.noise:
            errors = self.noise * np.nan_to_num(self.curves[setting].std(0, ddof=1))
            curve = curve + errors * rng.normal(size=len(curve))
        rows = [
            SimpleNamespace(
                iteration=i + 1, score=score, seconds=i + 1.0, metrics=describe_noise(score, error)
            )
            for i, (score, error) in enumerate(zip(curve.tolist(), errors.tolist(), strict=True))
        ]
        return Trial(name, setting, rows)


def describe_noise(score: float, error: float) -> dict[str, float]:
    """The metrics of a point that has this standard error; none without noise."""
    if not error:
        return {}
    deviation = error * math.sqrt(EPISODES - 1)
    return {"return_mean": score, "return_std": deviation, "episodes": EPISODES}


def load(folder: Path, noise: float = 0.0) -> list[Table]:
    tables: list[Table] = []
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as data:
            names = [str(name) for name in data["names"]]
            curves = np.asarray(data["performance"], float)
            tables.append(Table(file.stem, curves, names, data["settings"], noise=noise))
    return tables
