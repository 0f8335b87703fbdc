"""All probes in turn, and the answer."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from algos.runner import EnvironmentFault
from envs.checking import UNREAD
from envs.frames import user_frame
from envs.guarding import BrokenError
from envs.validation import InputError
from tune_jobs.health.check.conformance import BROKEN, determinism, rules
from tune_jobs.health.check.crediting import credit
from tune_jobs.health.check.dependence import dependence
from tune_jobs.health.check.gradients import gradients
from tune_jobs.health.check.headroom import headroom
from tune_jobs.health.check.limits import TimeUpError, time_limit
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
ACTING = frozenset({"actions", "gradients", "overfit"})
"""Probes in which a policy acts, by no mask but its own."""
STUCK = "does_not_return"
"""The finding that a single call of the environment used up the time of a probe."""
TOTAL = 90.0
"""Seconds that all probes may take together; the rest of two minutes is for starting up."""
OVER, GRACE = 1.5, 10.0
"""A probe is cut off at this multiple of its seconds, and so many seconds later."""


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
    deadline = time.monotonic() + TOTAL
    for name, (probe, seconds, question) in PROBES.items():
        if only and name not in only:
            continue
        left = deadline - time.monotonic()
        if why := _pointless(name, findings) or ("" if left > 0 else _NO_TIME):
            not_judged[name] = why
            continue
        may = min(seconds * share, left)
        if tell:
            tell(question, may)
        started = time.monotonic()
        outcome, failed = _tried(probe, subject, may, min(OVER * seconds + GRACE, left))
        spent = time.monotonic() - started
        if failed:  # a probe's own failure must not hide what the others found
            not_judged[name] = failed
        else:
            judged.append(name)
            figures[name] = _plain(outcome.figures)
            figures[name]["seconds"] = round(spent, 2)
        findings = _merged(findings, outcome.findings)
        not_judged |= outcome.not_judged
    return {
        "env": subject.env,
        "algo": subject.algo,
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "judged": judged,
        "not_judged": not_judged,
        "figures": figures,
    }


def _merged(findings: list[Finding], new: list[Finding]) -> list[Finding]:
    """One finding of each symptom: the first of the most severe."""
    every = sorted([*findings, *new], key=lambda finding: -SEVERITIES.index(finding.severity))
    first = {finding.symptom: finding for finding in reversed(every)}
    return [finding for finding in every if first[finding.symptom] is finding]


_NO_TIME = f"the {TOTAL:.0f} s of a check were used up by what came before"


def _pointless(name: str, findings: list[Finding]) -> str:
    """Why a probe is left out after these findings; empty if it is not."""
    for finding in findings:
        if finding.symptom == STUCK:
            return "calls of the environment take too long"
        if finding.symptom in BROKEN:
            return f"the environment is broken: {finding.symptom}"
        if finding.severity != "stop":
            continue
        if finding.symptom == UNREAD and name in ACTING:
            return "a policy would draw illegal actions before it shows its mask"
        if name == LAST:
            return f"there is no point in training before {finding.symptom} is mended"
    return ""


def _tried(probe: Probe, subject: Subject, seconds: float, most: float) -> tuple[Outcome, str]:
    """What a probe found, and why it came to no end if it did not."""
    started = time.monotonic()
    try:
        with warnings.catch_warnings(), time_limit(most):
            warnings.simplefilter("ignore")  # Gymnasium's, about style
            return probe(subject, seconds), ""
    except TimeUpError as cut:
        frame = user_frame(cut)
        at = f" at {frame}" if frame else ""
        spent = time.monotonic() - started
        why = (
            f"it took more than the {seconds:.0f} s it may and was cut off after {spent:.0f} s{at}"
        )
        outcome = Outcome()
        if probe is rules:  # it looks at the clock between any two calls of the environment
            outcome.find(
                STUCK,
                "warn",
                f"a call of make, reset() or step() was cut off{at}: it had not returned "
                f"{spent - seconds:.0f} s after the probe's time was up",
            )
        return outcome, why
    except Exception as error:
        return blamed(subject, error), f"{type(error).__name__}: {error}"


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
    if isinstance(error, BrokenError):
        broken = error.violation
        if broken.rule == UNREAD:  # from now on random play obeys the mask
            subject.illegal_raises = broken
        outcome.find(broken.rule, broken.severity, broken.sentence, broken.step or 0)
        return outcome
    if isinstance(error, InputError):
        outcome.find("cannot_start", "stop", str(error))
        return outcome
    place = None if subject.world is not None else user_frame(error, installed=False)
    if place or isinstance(error, EnvironmentFault):
        said = f"{type(error).__name__}: {error} ({place})" if place else str(error)
        outcome.find("raises", "stop", f"the environment raised after a while: {said}")
    return outcome
