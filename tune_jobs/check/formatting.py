"""The answer of a check as lines to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

SHOWN: dict[str, dict[str, str]] = {
    "conformance": {"violations": "violations"},
    "determinism": {"episodes_twice": "episodes twice", "differing": "differing"},
    "episodes": {
        "episodes": "episodes",
        "length_mean": "mean length",
        "terminated_fraction": "share terminated",
        "truncated_fraction": "truncated",
        "steps_per_second": "steps per second",
    },
    "observations": {"entries": "entries", "constant_fraction": "constant", "abs_max": "largest"},
    "rewards": {
        "reward_min": "from",
        "reward_max": "to",
        "zero_fraction": "share zero",
        "return_mean": "return",
        "return_std": "±",
    },
    "dependence": {
        "repeated.variance_fraction": "share of variance by actions, same luck",
        "repeated.p": "p",
        "fresh_noise.variance_fraction": "other luck",
        "fresh_noise.p": "p",
    },
    "sampler": {"draws": "draws", "p": "p", "mass": "mass", "illegal": "illegal"},
    "actions": {"steps": "steps", "altered": "altered"},
    "credit": {"tried": "numbers changed", "leaks": "leaks", "lost": "lost"},
    "gradients": {},
    "headroom": {"episodes": "seeds"},
    "overfit": {
        "return_random": "random",
        "return_last": "learnt",
        "standard_errors": "standard errors",
        "iterations": "iterations",
    },
}
"""Probe -> the figures that are shown and what they are called; all of them are in the JSON."""

STYLES = {"stop": "bold red", "warn": "bold yellow", "note": "bold", "figures": "", "dim": "dim"}
"""Kind of line -> its style."""
GAP = 14
"""Columns of the probes' names."""


def format_answer(answer: Mapping[str, Any], width: int) -> Iterator[tuple[str, str]]:
    """The lines of an answer and the style of each."""
    for probe, figures in answer["figures"].items():
        if not (parts := ", ".join(_parts(probe, figures))):
            continue
        yield from _filled(f"{probe:{GAP}}", parts, width, STYLES["figures"])
    reasons: dict[str, list[str]] = {}
    for symptom, why in answer["not_judged"].items():
        reasons.setdefault(why, []).append(symptom)
    for why, symptoms in reasons.items():
        told = f"{', '.join(symptoms)}: {why}"
        yield from _filled("cannot tell".ljust(GAP), told, width, STYLES["dim"])
    for finding in answer["findings"]:
        severity = finding["severity"]
        step = f" at step {finding['since']}" if finding["since"] else ""
        yield f"{severity:{GAP}}{finding['symptom']}{step}", STYLES[severity]
        yield from _filled(" " * GAP, finding["evidence"], width, "")
        yield from _filled(" " * GAP, finding["remedy"], width, STYLES["dim"])
    if not answer["findings"]:
        yield f"nothing found by {len(answer['judged'])} probes", "bold green"


def _parts(probe: str, figures: Mapping[str, Any]) -> Iterator[str]:
    for path, name in SHOWN[probe].items():
        value: Any = figures
        for step in path.split("."):
            value = value.get(step) if value else None
        if value is not None:
            yield f"{name} {_number(value)}"
    for name, value in figures.items():
        if name.startswith("norm_"):
            yield f"{name.removeprefix('norm_')} {_number(value)}"
        elif probe == "headroom" and isinstance(value, dict):
            yield f"{name.replace('_', ' ')} {_number(value['return_mean'])}"  # pyright: ignore


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _filled(head: str, text: str, width: int, style: str) -> Iterator[tuple[str, str]]:
    filled = textwrap.wrap(text, max(width - GAP, 30), break_long_words=False) or [""]
    for place, line in enumerate(filled):
        yield ((head if not place else " " * GAP) + line).rstrip(), style
