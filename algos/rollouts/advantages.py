"""Advantages and returns: pure functions of time-major numpy arrays.

Letters: T time, B batch (copies of the environment), G group (episodes from one start), K returns
of the reference policy from one start, N rows.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


def compute_next_values(
    values: Floats, last_values: Floats, terminated: Flags, truncated: Flags, final_values: Floats
) -> Floats:
    """Return the value [T, B] of the state that each action led to.

    The one place that decides what to bootstrap from. A terminated episode has no future (0). A
    truncated one was only cut off by a time limit: its future is worth the value of its final
    observation, which an automatic reset would otherwise hide. Everywhere else it is the value of
    the next row.

    Args:
        values: of the observations that were acted on ``[T, B]``.
        last_values: of the observations after the last step ``[B]``.
        terminated: where an episode ended by its own rules ``[T, B]``.
        truncated: where a time limit cut it off ``[T, B]``.
        final_values: of the final observations of truncated episodes ``[T, B]``.

    >>> values, ends = np.array([[1.0], [2.0]]), np.array([[False], [True]])
    >>> never, final = np.array([[False], [False]]), np.array([[0.0], [5.0]])
    >>> compute_next_values(values, np.array([9.0]), never, ends, final).tolist()
    [[2.0], [5.0]]
    >>> compute_next_values(values, np.array([9.0]), ends, never, final).tolist()
    [[2.0], [0.0]]
    """
    following = np.concatenate([values[1:], last_values[None]])
    following = np.where(truncated, final_values, following)
    return np.where(terminated, np.float32(0), following)


def gae(
    rewards: Floats, values: Floats, next_values: Floats, done: Flags, gamma: float, lam: float
) -> Floats:
    """Return the generalised advantage estimates [T, B] (Schulman et al. 2016, eq. 16).

    ``A_t = delta_t + gamma lam (1 - done_t) A_{t+1}`` with
    ``delta_t = r_t + gamma next_values_t - V_t``. ``lam = 0`` gives the one-step error and
    ``lam = 1`` the Monte Carlo return minus V. ``done`` (terminated or truncated) stops the sum;
    what the future is worth there is already in ``next_values``. All arrays are ``[T, B]``.

    >>> one, zero = np.ones((3, 1)), np.zeros((3, 1))
    >>> done = np.array([[False], [False], [True]])
    >>> gae(one, zero, zero, done, gamma=1.0, lam=1.0)[:, 0].tolist()
    [3.0, 2.0, 1.0]
    """
    advantages = np.asarray(rewards + gamma * next_values - values, np.float32)
    decay = np.asarray(gamma * lam * ~done, np.float32)
    # Backwards, in place: each step adds what the one after it has already gathered.
    for t in range(len(rewards) - 2, -1, -1):
        advantages[t] += decay[t] * advantages[t + 1]
    return advantages


def returns_to_go(rewards: Floats, next_values: Floats, done: Flags, gamma: float) -> Floats:
    """Return the discounted returns [T, B] (Sutton and Barto 2018, eq. 3.9).

    ``R_t = r_t + gamma R_{t+1}`` until the episode is done or the rows end; what the future is
    worth there is ``next_values`` of that row, 0 when it terminated. All arrays are ``[T, B]``.

    >>> done = np.array([[False], [True], [False]])
    >>> returns_to_go(np.ones((3, 1)), np.zeros((3, 1)), done, gamma=0.5)[:, 0].tolist()
    [1.5, 1.0, 1.0]
    """
    returns: Any = np.asarray(rewards + gamma * next_values)  # in the type of the rewards
    for t in range(len(rewards) - 2, -1, -1):
        returns[t] = np.where(done[t], returns[t], rewards[t] + gamma * returns[t + 1])
    return returns


def normalise(advantages: Floats) -> Floats:
    """Return advantages [...] with mean 0 and standard deviation 1 over all entries.

    >>> normalise(np.array([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """
    # Equal ones differ from their mean by its rounding, which scaled would push all actions alike.
    if np.ptp(advantages) <= 1e-6 * np.abs(advantages).max():
        return np.zeros(advantages.shape, np.float32)
    centred = advantages - advantages.mean()
    return (centred / (advantages.std() + 1e-8)).astype(np.float32)


def has_signal(returns: Floats) -> Flags:
    """Return for groups of returns [..., G] whether they differ [...], up to rounding.

    A group with a NaN has a signal, so that a broken reward stays visible.

    >>> has_signal(np.array([[1.0, 2.0], [3.0, 3.0]])).tolist()
    [True, False]
    """
    return ~np.isclose(returns.min(-1), returns.max(-1), rtol=1e-8, atol=0)


def _centre_on_group(returns: Floats) -> Floats:
    """Subtract the group's mean from returns [..., G]; exactly 0 in a group without a signal."""
    centred = returns - returns.mean(-1, keepdims=True)
    # Rounding leaves differences of 1e-8 between equal returns, which dividing by their deviation
    # would blow up to advantages of 1.
    return np.where(has_signal(returns)[..., None], centred, 0).astype(np.float32)


def group_advantages(returns: Floats, *, scale: bool) -> Floats:
    """Return the advantages [..., G] of returns [..., G] within their group, G at least 2.

    With ``scale`` those of GRPO, ``(R_i - mean R) / (std R + 1e-4)`` (Shao et al. 2024, section
    4.1.2); without it those of Dr. GRPO, ``R_i - mean R`` (Liu et al. 2025), which does not weigh a
    start up because its returns are close to each other. The paper leaves the kind of deviation
    open: it is the sample's (``G - 1``), with the same small constant, as in TRL.

    >>> group_advantages(np.array([1.0, 3.0]), scale=False).tolist()
    [-1.0, 1.0]
    """
    centred = _centre_on_group(returns)
    if not scale:
        return centred
    deviation = returns.std(-1, ddof=1, keepdims=True) + 1e-4
    return (centred / deviation).astype(np.float32)


def leave_one_out(returns: Floats) -> Floats:
    """Return each return [..., G] minus the mean of the others of its group, G at least 2.

    A baseline that does not depend on the action it judges (Kool et al. 2019; RLOO, Ahmadian et
    al. 2024): ``R_i - sum_{j != i} R_j / (G - 1) = G / (G - 1) (R_i - mean R)``.

    >>> leave_one_out(np.array([1.0, 2.0, 6.0])).tolist()
    [-3.0, -1.5, 4.5]
    """
    G = returns.shape[-1]
    return _centre_on_group(returns) * np.float32(G / (G - 1))


def estimate_v_star(
    returns: Floats, kind: Literal["softmax", "max", "mean"], beta: float
) -> Floats:
    """Return the estimate [...] of V* from returns [..., K] of the reference policy.

    V* is the best that any policy can expect when it pays ``beta KL(policy || reference)``:
    ``beta log mean exp(R / beta)`` (A*-PO, Brantley et al. 2025, stage 1). It falls from the
    ``max`` (``beta`` to 0: the KL is free) to the ``mean`` (large ``beta``: it never pays).

    >>> round(float(estimate_v_star(np.array([0.0, 1.0]), "softmax", beta=1.0)), 2)
    0.62
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
    """Return how well values [N] fit returns [N], by the names in ``metrics.py``.

    The explained variance is left out where all returns are equal, and there is none to explain.

    >>> compute_value_metrics(np.array([1.0, 2.0]), np.array([1.0, 3.0]))["explained_variance"]
    0.75
    """
    metrics = {
        "value_abs_max": float(np.abs(values).max()),
        "target_abs_max": float(np.abs(returns).max()),
    }
    variance = float(returns.var())
    # Below this, equal returns differ by rounding alone.
    if variance > 1e-12:
        metrics["explained_variance"] = 1 - float((returns - values).var()) / variance
    return metrics
