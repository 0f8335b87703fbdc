# pyright: basic
"""Run a check on a simulated clock, and read its answer."""

import json

import sick_worlds  # noqa: F401 (registers its worlds)
from stepping_clock import LOOK_S, SteppingClock

from tune_jobs.check.check_target import load_check_target
from tune_jobs.check.run_probes import PROBES, examine

HURRIED = 0.05
"""Share of the seconds that the probes may take otherwise."""
DAY_S = 86_400.0
UNTRAINED = tuple(name for name in PROBES if name != "overfit")


def check(target, *only, share=HURRIED, look_s=LOOK_S):
    """Run these probes on a target; their answer, which JSON can hold."""
    if isinstance(target, str):
        target = load_check_target(target)
    target.clock = SteppingClock(look_s)
    answer = examine(target, share, only=only, overrun_s=DAY_S)
    json.dumps(answer, allow_nan=False)
    return answer


def get_severities(answer):
    """Symptom -> severity."""
    return {finding["symptom"]: finding["severity"] for finding in answer["findings"]}


def list_serious(answer):
    """The findings that are more than notes."""
    return [finding for finding in answer["findings"] if finding["severity"] != "note"]


def get_only_evidence(answer, symptom):
    """The evidence of the only finding, a stop for this symptom."""
    assert get_severities(answer) == {symptom: "stop"}
    return answer["findings"][0]["evidence"]
