"""All probes in turn, and the answer."""

from __future__ import annotations

import dataclasses
import math
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import torch

from algos.runner import EnvironmentFault
from envs.validation import InputError
from tune_jobs.health.check.conformance import determinism, rules
from tune_jobs.health.check.crediting import credit
from tune_jobs.health.check.dependence import dependence
from tune_jobs.health.check.gradients import gradients
from tune_jobs.health.check.headroom import headroom
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.overfitting import overfit
from tune_jobs.health.check.passing import actions
from tune_jobs.health.check.random_play import episodes, observations, rewards
from tune_jobs.health.check.sampling import sampler
from tune_jobs.health.check.subject import Subject
from tune_jobs.health.finding import SEVERITIES, Finding

Probe: TypeAlias = Callable[[Subject, float], Outcome]
Tell: TypeAlias = Callable[[str, float], None]

PROBES: dict[str, tuple[Probe, float, str]] = {
    "conformance": (rules, 8.0, "Gymnasium's rules and ours"),
    "determinism": (determinism, 4.0, "the same seed twice"),
    "episodes": (episodes, 6.0, "how random play ends"),
    "observations": (observations, 6.0, "what is seen"),
    "rewards": (rewards, 6.0, "what is paid"),
    "dependence": (dependence, 16.0, "whether acting matters"),
    "sampler": (sampler, 6.0, "whether actions are drawn as they should"),
    "actions": (actions, 4.0, "whether they reach the environment"),
    "credit": (credit, 4.0, "whether rewards count for the actions behind them"),
    "gradients": (gradients, 6.0, "whether each term of the loss pulls"),
    "headroom": (headroom, 8.0, "whether there is something to learn"),
    "overfit": (overfit, 25.0, "whether a little is learnt"),
}
"""Name -> the probe, the seconds it may take, and what it asks."""

LAST = "overfit"
"""The longest probe, which is left out where another one has found a reason to stop."""
BROKEN = frozenset({"raises", "reset_returns", "step_returns"})
"""Violations after which nothing else can be tried."""
LIBRARIES = ("site-packages", "dist-packages")
"""Where other people's code lies."""


def examine(
    subject: Subject, share: float = 1.0, tell: Tell | None = None, only: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run the probes; the answer of ``rungwise check --json``.

    Args:
        subject: what is examined.
        share: of the seconds that each probe may take.
        tell: called before each probe with its question, and the seconds it may take.
        only: names of probes to run; empty runs all.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks: more of them only wait for each other
    try:
        return _examined(subject, share, tell, only)
    finally:
        torch.set_num_threads(threads)


def _examined(
    subject: Subject, share: float, tell: Tell | None, only: tuple[str, ...]
) -> dict[str, Any]:
    findings: list[Finding] = []
    judged, figures = list[str](), dict[str, Any]()
    not_judged: dict[str, str] = {}
    for name, (probe, seconds, question) in PROBES.items():
        if only and name not in only:
            continue
        if broken := next((f for f in findings if f.symptom in BROKEN), None):
            not_judged[name] = f"the environment is broken: {broken.symptom}"
            continue
        stop = next((f for f in findings if f.severity == "stop"), None)
        if stop and name == LAST:
            not_judged[name] = f"there is no point in training before {stop.symptom} is mended"
            continue
        if tell:
            tell(question, seconds * share)
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Gymnasium's, about style
                outcome = probe(subject, seconds * share)
        except Exception as error:  # a probe's own failure must not hide what the others found
            not_judged[name] = f"{type(error).__name__}: {error}"
            outcome = blamed(subject, error)
        else:
            judged.append(name)
            figures[name] = _plain(outcome.figures)
            figures[name]["seconds"] = round(time.monotonic() - started, 2)
        known = {finding.symptom for finding in findings}
        findings += [finding for finding in outcome.findings if finding.symptom not in known]
        not_judged |= outcome.not_judged
    findings.sort(key=lambda finding: -SEVERITIES.index(finding.severity))
    return {
        "env": subject.env,
        "algo": subject.algo,
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "judged": judged,
        "not_judged": not_judged,
        "figures": figures,
    }


def _plain(value: Any) -> Any:
    """What JSON can hold: no numpy, no NaN; numbers to six digits."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}  # pyright: ignore
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def blamed(subject: Subject, error: Exception) -> Outcome:
    """What an exception amounts to: the environment's fault, the settings', or the probe's own."""
    outcome = Outcome()
    if isinstance(error, InputError):
        outcome.find("cannot_start", "stop", str(error))
        return outcome
    place = next(_own_frames(subject, error), None)
    if place or isinstance(error, EnvironmentFault):
        said = f"{type(error).__name__}: {error} ({place})" if place else str(error)
        outcome.find("raises", "stop", f"the environment raised after a while: {said}")
    return outcome


def _own_frames(subject: Subject, error: Exception) -> Iterator[str]:
    """Frames of neither a library nor this product, the innermost first."""
    if subject.world is not None:
        return
    ours = Path(__file__).resolve().parents[3]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        packaged = any(name in path.parts for name in LIBRARIES)
        inside = any(path.is_relative_to(ours / name) for name in ("algos", "envs", "tune_jobs"))
        if path.is_file() and not packaged and not inside and "lib" not in path.parts:
            yield f"{frame.filename}:{frame.lineno}"
