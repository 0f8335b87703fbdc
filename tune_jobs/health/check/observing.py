"""Probe ``observations``: is there something to see, in numbers that a network can take?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algos.models.base import MASK
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.random_play import sample
from tune_jobs.health.check.subject import Subject

LARGE = 100.0
"""Entries beyond this are large: ten times what RLExplorer allows."""


def observations(subject: Subject, seconds: float) -> Outcome:
    """Whether anything changes, and how large the entries are."""
    outcome = Outcome()
    seen = sample(subject, seconds).observed
    table = {name: _matrix(seen, name) for name in seen[0] if name != MASK}
    if not all(np.issubdtype(part.dtype, np.number) for part in table.values()):
        outcome.not_judged["observation_constant"] = "not all that is observed is a number"
        return outcome
    constant = np.concatenate([np.ptp(part, axis=0) == 0 for part in table.values()])
    scaled = [part for part in table.values() if np.issubdtype(part.dtype, np.floating)]
    spreads = np.concatenate([part.std(0) for part in scaled]) if scaled else np.zeros(0)
    largest = max((float(np.abs(part).max()) for part in scaled), default=None)
    moving = spreads[spreads > 0]
    outcome.figures = {
        "observations": len(seen),
        "entries": len(constant),
        "constant_share": float(constant.mean()),
        "abs_max": largest,
        "std_min": float(moving.min()) if moving.size else None,
        "std_max": float(moving.max()) if moving.size else None,
    }
    if constant.all() and len(seen) > 1:
        outcome.find(
            "observation_constant",
            "warn",
            f"all {len(constant)} entries were the same in {len(seen)} observations of random play",
            "Observe what tells states apart; if one state is all there is (a bandit), nothing is "
            "wrong.",
        )
    if largest is not None and largest > LARGE:
        outcome.find(
            "observation_scale",
            "note",
            f"observations reach {largest:.3g} in size",
            "Divide each entry by its usual size, so that observations stay within -10 and 10.",
        )
    return outcome


def _matrix(seen: list[Mapping[str, Any]], name: str) -> np.ndarray[Any, Any]:
    found = np.stack([np.asarray(columns[name]).reshape(-1) for columns in seen])
    return found.astype(np.int8) if found.dtype == np.bool_ else found
