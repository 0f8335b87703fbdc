"""``rungwise check``: can this environment be learnt from, and does the learning machinery work?

One probe a file. A probe is a function from a :class:`Subject` and the seconds it may take to an
:class:`Outcome`: findings, figures, and what it could not judge and why.
"""

from tune_jobs.health.check.examination import PROBES, examine
from tune_jobs.health.check.naming import subject_of
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.subject import Subject

__all__ = ["PROBES", "Outcome", "Subject", "examine", "subject_of"]
