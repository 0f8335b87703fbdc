"""How much better an action was than expected: pure functions over time-major arrays.

Letters: T time, B batch (copies of the environment). numpy in, numpy out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


def next_values(
    values: Floats, last_values: Floats, terminated: Flags, truncated: Flags, final_values: Floats
) -> Floats:
    """values [T, B], last_values [B], terminated, truncated, final_values [T, B] -> [T, B].

    The value of the state that each action led to; the one place that decides what to bootstrap
    from. A terminated episode has no future (0). A truncated one was only cut off by a time limit:
    its future is worth ``final_values``, the value of its final observation, which an automatic
    reset would otherwise hide. Everywhere else it is the value of the next row.
    """
    following = np.concatenate([values[1:], last_values[None]])
    following = np.where(truncated, final_values, following)
    return np.where(terminated, np.float32(0), following)


def gae(
    rewards: Floats, values: Floats, following: Floats, done: Flags, gamma: float, lam: float
) -> Floats:
    """rewards, values, following, done [T, B] -> advantages [T, B].

    Generalised advantage estimation (Schulman et al. 2016, eq. 16):
    ``A_t = delta_t + gamma lam (1 - done_t) A_{t+1}`` with
    ``delta_t = r_t + gamma following_t - V_t``. ``lam = 0`` gives the one-step error and
    ``lam = 1`` the Monte Carlo return minus V. ``done`` (terminated or truncated) stops the sum;
    what the future is worth there is already in ``following``.
    """
    advantages = np.asarray(rewards + gamma * following - values, np.float32)
    decay = np.asarray(gamma * lam * ~done, np.float32)
    for t in range(len(rewards) - 2, -1, -1):
        advantages[t] += decay[t] * advantages[t + 1]
    return advantages


def normalised(advantages: Floats) -> Floats:
    """advantages [...] -> the same with mean 0 and standard deviation 1 over all entries."""
    centred = advantages - advantages.mean()
    return (centred / (advantages.std() + 1e-8)).astype(np.float32)
