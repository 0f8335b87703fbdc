"""The scores that the presets have reached, as data next to them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rungwise.formatting import count, format_duration, format_measurement
from tune_jobs.jobs.job import Job

SCORES = Path(__file__).with_name("preset_scores.yaml")


@dataclass(frozen=True)
class PresetScore:
    """The scores of trainings with a preset, measured on held-out seeds."""

    figure: str
    """The measured quantity, in words."""
    scores: tuple[float, ...]
    """One for each training seed."""
    minutes: float | None = None
    """Duration of one training; None where it was not measured."""
    machine: str = ""
    """The machine of that training."""

    @property
    def score_text(self) -> str:
        """The mean score, with its standard error where there are several seeds."""
        mean = format_measurement(statistics.fmean(self.scores))
        if len(self.scores) > 1:
            error = statistics.stdev(self.scores) / len(self.scores) ** 0.5
            mean += f" ± {format_measurement(error)}"
        return f"{self.figure} {mean} ({count(len(self.scores), 'seed')})"

    @property
    def time_text(self) -> str:
        """The duration of a training and its machine; empty where it was not measured."""
        if self.minutes is None:
            return ""
        return f"{format_duration(60 * self.minutes)} on {self.machine}"


def load_preset_scores() -> dict[str, PresetScore]:
    """Return the scores of the presets that have been measured, by name."""
    plain: dict[str, dict[str, Any]] = yaml.safe_load(SCORES.read_text())
    return {
        name: PresetScore(scores=tuple(fields.pop("scores")), **fields)
        for name, fields in plain.items()
    }


def count_steps(job: Job) -> int:
    """Return the environment steps of one trial with its full budget, at most."""
    settings = job.training
    return job.iterations * settings.rollout_length * settings.num_envs * settings.runners


def format_steps(steps: int) -> str:
    """Format a number of environment steps: 123k steps, 2.0M steps.

    >>> format_steps(900), format_steps(122_880), format_steps(1_998_848)
    ('900 steps', '123k steps', '2.0M steps')
    """
    if steps < 1000:
        return count(steps, "step")
    return f"{steps / 1e3:.0f}k steps" if steps < 999_500 else f"{steps / 1e6:.1f}M steps"
