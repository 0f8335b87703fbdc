"""How much better an action was than expected: pure functions over time-major arrays.

Letters: T time, B batch (copies of the environment), G group (episodes from one start), K returns
of the reference policy from one start. numpy in, numpy out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


def compute_next_values(
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
    rewards: Floats, values: Floats, next_values: Floats, done: Flags, gamma: float, lam: float
) -> Floats:
    """rewards, values, following, done [T, B] -> advantages [T, B].

    Generalised advantage estimation (Schulman et al. 2016, eq. 16):
    ``A_t = delta_t + gamma lam (1 - done_t) A_{t+1}`` with
    ``delta_t = r_t + gamma following_t - V_t``. ``lam = 0`` gives the one-step error and
    ``lam = 1`` the Monte Carlo return minus V. ``done`` (terminated or truncated) stops the sum;
    what the future is worth there is already in ``next_values``.
    """
    advantages = np.asarray(rewards + gamma * next_values - values, np.float32)
    decay = np.asarray(gamma * lam * ~done, np.float32)
    for t in range(len(rewards) - 2, -1, -1):
        advantages[t] += decay[t] * advantages[t + 1]
    return advantages


def returns_to_go(rewards: Floats, next_values: Floats, done: Flags, gamma: float) -> Floats:
    """rewards, following, done [T, B] -> discounted returns [T, B].

    ``R_t = r_t + gamma R_{t+1}`` (Sutton and Barto 2018, eq. 3.9) until the episode is done or the
    rows end; what the future is worth there is ``next_values`` of that row, 0 when it terminated.
    """
    returns = np.asarray(rewards + gamma * next_values, np.float32)
    for t in range(len(rewards) - 2, -1, -1):
        returns[t] = np.where(done[t], returns[t], rewards[t] + gamma * returns[t + 1])
    return returns


def normalise(advantages: Floats) -> Floats:
    """advantages [...] -> the same with mean 0 and standard deviation 1 over all entries."""
    centred = advantages - advantages.mean()
    return (centred / (advantages.std() + 1e-8)).astype(np.float32)


def has_signal(returns: Floats) -> Flags:
    """returns [..., G] -> [...]: false where a group's returns are all equal, up to rounding.

    A group with a NaN has a signal, so that a broken reward stays visible.
    """
    return ~np.isclose(returns.min(-1), returns.max(-1), rtol=1e-8, atol=0)


def _centre_on_group(returns: Floats) -> Floats:
    """returns [..., G] -> minus the mean of the group; exactly 0 in a group without a signal."""
    centred = returns - returns.mean(-1, keepdims=True)
    return np.where(has_signal(returns)[..., None], centred, 0).astype(np.float32)


def group_advantages(returns: Floats, *, scale: bool) -> Floats:
    """returns [..., G], G at least 2 -> advantages [..., G].

    With ``scale`` those of GRPO, ``(R_i - mean R) / (std R + 1e-4)`` (Shao et al. 2024, section
    4.1.2); without it those of Dr. GRPO, ``R_i - mean R`` (Liu et al. 2025), which does not weigh a
    start up because its returns are close to each other. The paper leaves the kind of deviation
    open: it is the sample's (``G - 1``), with the same small constant, as in TRL.
    """
    centred = _centre_on_group(returns)
    if not scale:
        return centred
    deviation = returns.std(-1, ddof=1, keepdims=True) + 1e-4
    return (centred / deviation).astype(np.float32)


def leave_one_out(returns: Floats) -> Floats:
    """returns [..., G], G at least 2 -> advantages [..., G].

    Each return minus the mean of the others (Kool et al. 2019; RLOO, Ahmadian et al. 2024), a
    baseline that does not depend on the action it judges:
    ``R_i - sum_{j != i} R_j / (G - 1) = G / (G - 1) (R_i - mean R)``.
    """
    G = returns.shape[-1]
    return _centre_on_group(returns) * np.float32(G / (G - 1))


def estimate_v_star(
    returns: Floats, kind: Literal["softmax", "max", "mean"], beta: float
) -> Floats:
    """returns [..., K] of the reference policy -> estimate [...] of the optimal value V*.

    The best that any policy can expect when it pays ``beta KL(policy || reference)``:
    ``beta log mean exp(R / beta)`` (A*-PO, Brantley et al. 2025, stage 1). It falls from the
    ``max`` (``beta`` to 0: straying is free) to the ``mean`` (large ``beta``: it never pays).
    """
    if kind == "mean":
        return returns.mean(-1, dtype=np.float64).astype(np.float32)
    best = returns.max(-1)
    if kind == "max":
        return best
    # Nothing overflows below the maximum, and expm1 keeps what a large beta leaves of the gaps.
    gaps = np.expm1((returns - best[..., None]).astype(np.float64) / beta).mean(-1)
    return (best + beta * np.log1p(gaps)).astype(np.float32)


def compute_value_metrics(values: Floats, returns: Floats) -> dict[str, float]:
    """values, returns [N] -> how well a value function does, by the names in ``metrics.py``.

    Without the share of variance explained where all returns are equal: there is none then.
    """
    found = {
        "value_abs_max": float(np.abs(values).max()),
        "target_abs_max": float(np.abs(returns).max()),
    }
    variance = float(returns.var())
    if variance > 1e-12:
        found["explained_variance"] = 1 - float((returns - values).var()) / variance
    return found
