"""Check before training: can this environment be learnt, and does the algorithm work?

A probe is a function from a :class:`CheckTarget` and the seconds it may take to a
:class:`ProbeResult`: findings, figures, and what it could not judge and why.
``findings.yaml`` explains the findings.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_jobs.check.check_target import CheckTarget, load_check_target
    from tune_jobs.check.run_probes import PROBES, examine

__all__ = ["PROBES", "CheckTarget", "examine", "load_check_target"]

_HOMES = {
    "PROBES": "run_probes",
    "CheckTarget": "check_target",
    "examine": "run_probes",
    "load_check_target": "check_target",
}


def __getattr__(name: str) -> Any:
    """Import lazily: probes need torch and Ray, which ``explain`` must not wait for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
