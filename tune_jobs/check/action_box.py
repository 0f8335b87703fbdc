"""Is an action box much wider than the actions that are of any use?"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
from gymnasium import spaces

from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.statistics import ROUNDING

USEFUL = {1.0: 0.05, 0.1: 0.15, 0.01: 0.2, 1e-3: 0.2, 1e-4: 0.2}
"""Part of the box from which a change is drawn -> fraction of the changes that must bring more for
the box to be no wider: about a third where good actions are all over it, none where each costs."""
EPISODES, STEPS, FIRST = 40, 100, 10
"""Episodes for each part of the box, their steps, and the first ones, one of which is changed."""
GOLDEN = (5**0.5 - 1) / 2
"""Its multiples modulo 1 are spread evenly: few draws may all lie near the constant action."""


def judge_box(target: CheckTarget, constant: Any, seconds: float, outcome: ProbeResult) -> None:
    """Add a finding if only small changes of one action among constant ones bring more."""
    space, deadline = target.spaces[1], target.clock() + seconds
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        return
    tried: list[str] = []
    with closing(target.make_env()) as env:
        for part, least in USEFUL.items():
            gains = 0
            for seed in range(EPISODES):
                if target.clock() > deadline:
                    return
                same, other = (_play(env, seed, constant, size) for size in (0.0, part))
                gains += other - same > ROUNDING * max(abs(same), abs(other))
            tried.append(f"{gains / EPISODES:.0%} at {part:g} of the box")
            if gains >= least * EPISODES:
                break
        else:
            return
    if part < 0.1:
        outcome.add_finding(
            "action_box_too_wide",
            "warn",
            f"in {space}, changes of one value of the best constant action brought more in "
            f"{', '.join(tried)}: the useful actions lie within about {part:g} of it",
        )


def _play(env: Any, seed: int, constant: Any, part: float) -> float:
    """Return the return of a constant action, one value of which is changed in one step."""
    # One value alone: of many, the useless ones would hide the others.
    space, entry = env.action_space, seed % constant.size
    low, high = space.low.flat[entry], space.high.flat[entry]
    far = low + (seed + 0.5) * GOLDEN % 1 * (high - low)
    changed = constant.copy()
    changed.flat[entry] += part * (far - constant.flat[entry])
    env.reset(seed=seed)
    total = 0.0
    for step in range(STEPS):
        _, reward, *ends, _ = env.step(changed if step == seed % FIRST else constant)
        total += float(reward)
        if any(ends):
            break
    return total
