"""Format the answer of a check as lines of text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

SHOWN_FIGURES: dict[str, dict[str, str]] = {
    "conformance": {"violations": "violations"},
    "determinism": {"episodes_twice": "episodes twice", "differing": "differing"},
    "episodes": {
        "episodes": "episodes",
        "length_mean": "mean length",
        "terminated_fraction": "terminated",
        "truncated_fraction": "truncated",
        "steps_per_second": "steps per second",
    },
    "observations": {
        "entries": "entries",
        "constant_fraction": "constant",
        "abs_max": "largest",
        "encoders": "encoders:",
    },
    "rewards": {"reward_min": "from", "reward_max": "to", "zero_fraction": "zero"},
    "memory": {"rows": "steps", "variance_fraction": "variance by what was seen earlier"},
    "dependence": {
        "repeated.variance_fraction": "variance by actions, same randomness",
        "repeated.p": "p",
        "fresh_noise.variance_fraction": "other randomness",
        "fresh_noise.p": "p",
    },
    "sampler": {"draws": "draws", "p": "p", "mass": "mass", "illegal": "illegal"},
    "actions": {"steps": "steps", "altered": "altered"},
    "credit": {"tried": "numbers changed", "leaks": "leaks", "lost": "lost"},
    "gradients": {},
    "headroom": {"episodes": "seeds"},
    "overfit": {
        "starts": "starts",
        "return_random": "random",
        "return_last": "learnt",
        "standard_errors": "learnt, in standard errors above random:",
        "fresh_errors": "the same from other starts:",
        "iterations": "iterations",
    },
}
"""Probe -> the figures to show and their labels; the JSON has all of them."""

STYLES = {"stop": "bold red", "warn": "bold yellow", "note": "bold", "figures": "", "dim": "dim"}
"""Kind of line -> its style."""
GAP = 14
"""Width of the column of probe names."""


def format_answer(answer: Mapping[str, Any], width: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of an answer and the style of each."""
    for probe, figures in answer["figures"].items():
        if not (parts := ", ".join(_format_figures(probe, figures))):
            continue
        yield from _wrap(f"{probe:{GAP}}", parts, width, STYLES["figures"])
    reasons: dict[str, list[str]] = {}
    for symptom, why in answer["not_judged"].items():
        reasons.setdefault(why, []).append(symptom)
    for why, symptoms in reasons.items():
        text = f"{', '.join(symptoms)}: {why}"
        yield from _wrap("not judged".ljust(GAP), text, width, STYLES["dim"])
    for finding in answer["findings"]:
        severity = finding["severity"]
        step = f" at step {finding['since']}" if finding["since"] else ""
        yield f"{severity:{GAP}}{finding['symptom']}{step}", STYLES[severity]
        yield from _wrap(" " * GAP, finding["evidence"], width, "")
        yield from _wrap(" " * GAP, finding["remedy"], width, STYLES["dim"])
    if not answer["findings"]:
        yield f"{len(answer['judged'])} probes found no fault", "bold green"


def _format_figures(probe: str, figures: Mapping[str, Any]) -> Iterator[str]:
    for path, name in SHOWN_FIGURES[probe].items():
        value: Any = figures
        for step in path.split("."):
            value = value.get(step) if value else None
        if value is not None:
            yield f"{name} {_format_number(value)}"
    for name, value in figures.items():
        if name.startswith("norm_"):
            yield f"{name.removeprefix('norm_')} {_format_number(value)}"
        # A mean that is not finite is None in the answer.
        elif probe == "headroom" and isinstance(value, dict) and value["return_mean"] is not None:
            yield f"{name.replace('_', ' ')} {_format_mean(value, figures['episodes'])}"  # pyright: ignore


def _format_number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _format_mean(returns: Mapping[str, float | None], episodes: int) -> str:
    """Return a mean return and, where it is known, its standard error."""
    mean, std = _format_number(returns["return_mean"]), returns.get("return_std")
    return mean if std is None else f"{mean} ± {std / math.sqrt(episodes):.2g}"


def _wrap(head: str, text: str, width: int, style: str) -> Iterator[tuple[str, str]]:
    lines = textwrap.wrap(text, max(width - GAP, 30), break_long_words=False) or [""]
    for index, line in enumerate(lines):
        yield ((head if not index else " " * GAP) + line).rstrip(), style
