"""Run all probes and collect their findings."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from algos.rollouts.environment_fault import EnvironmentFault
from envs.contract.violations import BrokenEnvironmentError, TimeUpError
from rungwise.health.finding import SEVERITIES, Finding
from rungwise.user_frames import find_user_frame
from rungwise.validation import InputError, InputWarning
from tune_jobs.check.action_passthrough import probe_actions
from tune_jobs.check.action_sampler import probe_sampler
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.conformance import BROKEN, probe_conformance, probe_determinism
from tune_jobs.check.credit_assignment import probe_credit
from tune_jobs.check.dependence import probe_dependence
from tune_jobs.check.findings import SYMPTOMS, ProbeResult
from tune_jobs.check.gradient_probe import probe_gradients
from tune_jobs.check.headroom import probe_headroom
from tune_jobs.check.memory_probe import probe_memory
from tune_jobs.check.overfit_probe import has_generalised, has_learnt, probe_overfit
from tune_jobs.check.random_play import probe_episodes, probe_observations, probe_rewards

Probe: TypeAlias = Callable[[CheckTarget, float], ProbeResult]
OnProbeStart: TypeAlias = Callable[[str, float], None]

PROBES: dict[str, tuple[Probe, float, str]] = {
    "conformance": (probe_conformance, 8.0, "Gymnasium's rules and ours"),
    "determinism": (probe_determinism, 4.0, "the same seed twice"),
    "episodes": (probe_episodes, 6.0, "how random play ends"),
    "observations": (probe_observations, 6.0, "observations of random play"),
    "rewards": (probe_rewards, 6.0, "rewards of random play"),
    "memory": (probe_memory, 2.0, "whether rewards depend on what was seen earlier"),
    "dependence": (probe_dependence, 16.0, "whether the reward depends on the actions"),
    "sampler": (probe_sampler, 6.0, "whether actions match their log-probabilities"),
    "actions": (probe_actions, 4.0, "whether actions reach the environment"),
    "credit": (probe_credit, 4.0, "whether rewards count for the actions behind them"),
    "gradients": (probe_gradients, 6.0, "whether each term of the loss has a gradient"),
    "headroom": (probe_headroom, 8.0, "whether there is something to learn"),
    "overfit": (probe_overfit, 25.0, "whether a short training improves"),
}
"""Name -> the probe, the seconds it may take, and its question."""

OF_CODE = ("sampler", "actions", "credit", "gradients")
"""Probes of the code of a policy and an algorithm. They find nothing new in an algorithm of
Rungwise: the tests run them on each of these."""
OF_TRAINING = (*OF_CODE, "overfit")
"""Probes that need a policy and an algorithm of Rungwise's kind."""
LAST = "overfit"
"""The longest probe, which is skipped when another one found a reason to stop."""
STUCK = "does_not_return"
"""The finding that a single call of the environment used up the time of a probe."""
STUCK_S = 10.0
"""Seconds that the interrupted call itself must have taken for that."""
TOTAL_S = 90.0
"""Seconds for all probes together; the rest of two minutes is for starting up."""
OVERRUN_FACTOR, OVERRUN_S = 1.5, 10.0
"""A probe that hangs is interrupted after this multiple of its seconds plus this many seconds."""
SIGNAL_INTERVAL_S = 5.0
"""Seconds between repetitions of the signal that interrupts: the code may have caught the first."""


def examine(
    target: CheckTarget,
    time_fraction: float = 1.0,
    on_probe_start: OnProbeStart | None = None,
    only: tuple[str, ...] = (),
    overrun_s: float = OVERRUN_S,
) -> dict[str, Any]:
    """Run the probes and return the answer of ``rungwise check --json``.

    Args:
        target: the environment and algorithm to check.
        time_fraction: factor on the seconds of each probe.
        on_probe_start: called before each probe with its question and its seconds.
        only: names of probes to run; empty runs all that fit the target: those of an algorithm's
            code only for a user's own.
        overrun_s: seconds beyond its time after which a probe that hangs is interrupted, by a
            signal: they are seconds of the machine and not of the target's clock.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with small networks more threads only wait for each other
    try:
        return _run_probes(target, time_fraction, on_probe_start, only, overrun_s)
    finally:
        torch.set_num_threads(threads)


def _run_probes(
    target: CheckTarget,
    time_fraction: float,
    on_probe_start: OnProbeStart | None,
    only: tuple[str, ...],
    overrun_s: float,
) -> dict[str, Any]:
    findings: list[Finding] = []
    judged, figures = list[str](), dict[str, Any]()
    not_judged: dict[str, str] = {}
    deadline = target.clock() + TOTAL_S
    for name, (probe, seconds, question) in PROBES.items():
        if name not in only if only else target.is_shipped and name in OF_CODE:
            continue
        left_s = deadline - target.clock()
        if why := _explain_skip(target, name, findings) or ("" if left_s > 0 else _NO_TIME):
            not_judged[name] = why
            continue
        # A probe should keep to its time; the interrupt below is for those that hang.
        allowed_s = min(seconds * time_fraction, left_s)
        if on_probe_start:
            on_probe_start(question, allowed_s)
        started = target.clock()
        outcome, failed = _run_probe(
            probe, target, allowed_s, min(OVERRUN_FACTOR * seconds, left_s) + overrun_s
        )
        spent = target.clock() - started
        if failed:  # a probe's own failure must not hide what the others found
            not_judged[name] = failed
        else:
            judged.append(name)
            figures[name] = _to_json_types(outcome.figures)
            figures[name]["seconds"] = round(spent, 2)
        findings = _merge_findings(findings, outcome.findings)
        not_judged |= outcome.not_judged
    refuted = _list_refuted(figures.get(LAST, {}))
    findings = [finding for finding in findings if finding.symptom not in refuted]
    return {
        "env": target.env,
        "algo": target.algo,
        "findings": [dataclasses.asdict(_word_remedy(target, finding)) for finding in findings],
        "judged": judged,
        "not_judged": not_judged,
        "figures": figures,
    }


def _list_refuted(learnt: dict[str, Any]) -> set[str]:
    """Return the findings that a short training has refuted, given its figures."""
    if not has_learnt(learnt):
        return set()
    # The success on a few starts may be their noise. The note says what was seen, which is true;
    # the warning that actions explain nothing may be wrong of a hard task.
    return {"reward_blind_to_action", *["no_headroom_seen"] * has_generalised(learnt)}


def _word_remedy(target: CheckTarget, finding: Finding) -> Finding:
    """Return the finding with a remedy for the target's settings, unless it has one of its own."""
    symptom = SYMPTOMS[finding.symptom]
    if finding.remedy != symptom.word_remedy():
        return finding
    return dataclasses.replace(
        finding, remedy=symptom.word_remedy(vars(target.settings), target.other)
    )


def _merge_findings(findings: list[Finding], new: list[Finding]) -> list[Finding]:
    """Return one finding per symptom: the first of the most severe."""
    # Sorting is stable, so among equal severities the finding of the earlier probe is kept.
    every = sorted([*findings, *new], key=lambda finding: -SEVERITIES.index(finding.severity))
    first = {finding.symptom: finding for finding in reversed(every)}
    return [finding for finding in every if first[finding.symptom] is finding]


_NO_TIME = f"the {TOTAL_S:.0f} s of a check were used up by earlier probes"


def _explain_skip(target: CheckTarget, name: str, findings: list[Finding]) -> str:
    """Return why a probe is skipped after these findings; empty if it is not."""
    if target.other and name in OF_TRAINING:
        return f"it examines policies and losses of ours, and {target.algo} is RLlib's"
    for finding in findings:
        # Every later probe would run into its time limit as well.
        if finding.symptom == STUCK:
            return "calls of the environment take too long"
        if finding.symptom in BROKEN:
            return f"the environment is broken: {finding.symptom}"
        if finding.severity == "stop" and name == LAST:
            return f"training is pointless before {finding.symptom} is fixed"
    return ""


def _run_probe(
    probe: Probe, target: CheckTarget, seconds: float, limit_s: float
) -> tuple[ProbeResult, str]:
    """Return the result of a probe, and the reason if it failed or was interrupted."""
    started = target.clock()
    try:
        with warnings.catch_warnings(), time_limit(limit_s):
            warnings.simplefilter("ignore")  # Gymnasium warns about style
            warnings.simplefilter("once", InputWarning)
            return probe(target, seconds), ""
    except TimeUpError as cut:
        # The line of the environment in which it hung is the most useful part of the message.
        frame = find_user_frame(cut)
        at = f" at {frame}" if frame else ""
        spent = target.clock() - started
        why = f"it took more than its {seconds:.0f} s and was interrupted after {spent:.0f} s{at}"
        outcome = ProbeResult()
        # A single call counts, as many calls that each take a second are slow but not stuck.
        if cut.call_s >= STUCK_S:
            outcome.add_finding(
                STUCK,
                "stop",
                f"a call of {cut.source} was interrupted{at}: it had not returned after "
                f"{cut.call_s:.0f} s",
            )
        return outcome, why
    except Exception as error:
        frame = find_user_frame(error)
        at = f" ({frame})" if frame else ""
        return convert_exception(target, error), f"{type(error).__name__}: {error}{at}"


def _to_json_types(value: Any) -> Any:
    """Convert to JSON types: no numpy, no NaN; numbers to six digits."""
    if isinstance(value, dict):
        return {str(name): _to_json_types(part) for name, part in value.items()}  # pyright: ignore
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        # JSON has no NaN or infinity.
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def convert_exception(target: CheckTarget, error: Exception) -> ProbeResult:
    """Convert an exception to findings: a fault of the environment, the settings or the probe."""
    outcome = ProbeResult()
    if isinstance(error, BrokenEnvironmentError):
        broken = error.violation
        outcome.add_finding(broken.rule, broken.severity, broken.sentence, broken.step or 0)
        return outcome
    if isinstance(error, InputError):
        outcome.add_finding("cannot_start", "stop", str(error))
        return outcome
    # In a world of ours there is no user code, so an exception is a fault of the probe.
    frame = None if target.world is not None else find_user_frame(error, installed=False)
    if frame or isinstance(error, EnvironmentFault):
        text = f"{type(error).__name__}: {error} ({frame})" if frame else str(error)
        outcome.add_finding("raises", "stop", f"the environment raised an exception: {text}")
    return outcome


@contextmanager
def time_limit(seconds: float) -> Generator[None]:
    """Raise :class:`TimeUpError` in this block once the time is up, even within a step.

    An environment that sleeps or computes in Python is interrupted, one that never returns from
    compiled code is not. Signals reach the main thread only: in other threads there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise TimeUpError

    started = time.monotonic()
    previous = signal.signal(signal.SIGALRM, end)
    alarm_s, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), SIGNAL_INTERVAL_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if alarm_s:  # an alarm set before, such as a test's, still fires on time
            spent = time.monotonic() - started
            signal.setitimer(signal.ITIMER_REAL, max(alarm_s - spent, 1e-3), interval)
