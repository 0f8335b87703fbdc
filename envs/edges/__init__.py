"""Choosing edges of a sparse matrix's graph, and the same for a user of PyAMG.

``C = strength_pattern(A, latent)``, then ``pyamg.smoothed_aggregation_solver(A, strength=[
("predefined", {"C": C}), "evolution"])``.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def strength_pattern(matrix: Any, latent: Any, seed: int = 0) -> Any:
    """The strength of connection that a latent action chooses on a matrix.

    Args:
        matrix: a real symmetric positive definite scipy sparse matrix [N, N].
        latent: five numbers in [-1, 1]: weights of |a|, -a, evolution and affinity; a threshold.
        seed: of the test vectors by which affinity is measured.

    Returns:
        C [N, N], a csr_array of ones with the diagonal, for PyAMG's ``("predefined", {"C": C})``.

    Raises:
        InputError: the matrix is not symmetric positive definite (see ``envs.edges.matrices``), or
            there are not five numbers.
    """
    from envs import random
    from envs.edges import matrices, multigrid, selection
    from envs.edges.graph import offdiagonal
    from envs.validation import InputError

    numbers = np.asarray(latent, np.float64)
    if numbers.shape != (5,) or not np.isfinite(numbers).all():
        raise InputError(f"latent must be five finite numbers, but it is {latent!r}.")
    graph = offdiagonal(matrices.checked(matrix), random.keys(seed, 1))
    return multigrid.pattern(graph, selection.strong(graph.scores, numbers))
