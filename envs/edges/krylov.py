"""Preconditioned conjugate gradients, and the quality of a preconditioner measured by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from envs.contract.pytree import Floats
from envs.edges.instances import Matrix

Preconditioner = Callable[[Floats], Floats]
"""r [N] -> an approximation of A^-1 r [N]."""

TOLERANCE = 1e-8
"""The relative residual at which a system counts as solved."""
MOST = 500
"""Iterations after which a solve is given up."""
EARLY = 5
"""Iterations over which the early reduction is measured."""


@dataclasses.dataclass(frozen=True)
class Quality:
    """The quality of a preconditioner."""

    reduction: float
    """Mean of ln(|r_0| / |r_5|) / 5 over the right-hand sides."""
    iterations: float
    """Iterations to |r| <= 1e-8 |b| on the first; predicted by the reduction if not solved."""


def residuals(A: Matrix, b: Floats, M: Preconditioner, most: int) -> Floats:
    """Return residual norms |b - A x_t|, t = 0 .., of PCG from x_0 = 0, at most ``most`` steps.

    It stops at the tolerance, and when the preconditioner proves to be indefinite.
    """
    # x_0 = 0, so the first residual is b, and |r_0| = |b| in the tolerance.
    r = b.copy()
    p = z = M(r)
    rz = float(r @ z)
    norms = [float(np.sqrt(b @ b))]
    while len(norms) <= most and norms[-1] > TOLERANCE * norms[0]:
        Ap = A @ p
        curvature = float(p @ Ap)
        # Either sign proves that A or M is indefinite: the theory ends here, and NaN marks the
        # failure.
        if not (curvature > 0 and rz > 0):
            norms.append(np.nan)
            break
        r = r - (rz / curvature) * Ap
        norms.append(float(np.sqrt(r @ r)))
        z = M(r)
        # The Fletcher-Reeves form; it needs a preconditioner that is the same linear map in every
        # iteration.
        rz, old = float(r @ z), rz
        p = z + (rz / old) * p
    return np.array(norms)


def quality(A: Matrix, sides: Floats, M: Preconditioner, solve: bool = True) -> Quality:
    """Measure PCG on right-hand sides [n, N]; with ``solve`` the first is solved to the end."""
    rates: list[float] = []
    iterations = np.inf
    for i, b in enumerate(sides):
        norms = residuals(A, b, M, MOST if solve and i == 0 else EARLY)
        # A solve may end before five iterations; the rate then averages over those that there were.
        early = norms[: EARLY + 1]
        rates.append(float(np.log(early[0] / early[-1]) / (len(early) - 1)))
        if solve and i == 0:
            iterations = len(norms) - 1 if np.isfinite(norms[-1]) else MOST
    rate = float(np.mean(rates))
    # Extrapolated from the early rate: during training a full solve would dominate the cost of a
    # step.
    if not solve:
        iterations = -np.log(TOLERANCE) / rate if rate > 0 else MOST
    return Quality(rate, float(min(iterations, MOST)))
