"""The first rung of ASHA, where a job sets none."""

from __future__ import annotations

FIRST_RUNG = 0.2
"""Share of the budget before the first rung."""
FEWEST = 5
"""Iterations before the first rung, at least, in budgets of twice as many."""


def choose_first_rung(iterations: int) -> int:
    """Return the iteration of the first rung in a budget.

    >>> [choose_first_rung(budget) for budget in (1, 4, 10, 20, 100)]
    [1, 2, 5, 5, 20]
    """
    # The score of an iteration is that of episodes before its update, and pools those of the
    # iterations before it: after two of ten it is mostly that of the untrained policy.
    return max(1, round(iterations * FIRST_RUNG), min(FEWEST, iterations // 2))
