"""``rungwise check``: can this environment be learnt from, and does the learning machinery work?

A probe is a function from a :class:`Subject` and the seconds it may take to an :class:`Outcome`:
findings, figures, and what it could not judge and why. ``symptoms.py`` says what findings mean.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_jobs.health.check.examination import PROBES, examine
    from tune_jobs.health.check.subject import Subject, subject_of

__all__ = ["PROBES", "Subject", "examine", "subject_of"]

_HOMES = {
    "PROBES": "examination",
    "Subject": "subject",
    "examine": "examination",
    "subject_of": "subject",
}


def __getattr__(name: str) -> Any:
    """Probes need torch and Ray, which ``explain`` does not wait for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
