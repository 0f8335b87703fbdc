"""EdgeSelection: choose edges of a sparse matrix's graph; its policies as PyAMG code.

``C = strength_pattern(A, Policy.load(checkpoint))``, then ``pyamg.smoothed_aggregation_solver(A,
strength=[("predefined", {"C": C}), "evolution"])``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_KEPT = ("objective", "action", "observation", "k", "builder")
"""Training arguments that define observation and action; the others are about matrices."""


def strength_pattern(matrix: Any, policy: Any) -> Any:
    """Return the strength of connection that a policy or a latent action chooses on a matrix.

    Args:
        matrix: a real symmetric positive definite scipy sparse matrix [N, N].
        policy: trained on ``objective='multigrid'`` (``algos.policy.Policy``, or anything with its
            ``metadata`` and ``act``), or five numbers in [-1, 1]: weights of |a|, -a, evolution and
            affinity; a threshold.

    Returns:
        C [N, N], a csr_array of ones with the diagonal, for PyAMG's ``("predefined", {"C": C})``.

    Raises:
        InputError: the matrix is not symmetric positive definite (see ``envs.edges.matrices``),
            the policy chooses something else, or there are not five numbers.
    """
    from envs.contract import counter_rng
    from envs.edges import matrices, multigrid
    from envs.edges.params import Params
    from envs.edges.world import EdgeSelection

    act, fields = _agent(policy)
    world = EdgeSelection(Params(**fields), matrices.validate_matrix(matrix))
    return multigrid.make_pattern(
        *world.choose_on_matrix(*world.draw_matrix(counter_rng.make_keys(0, 1)), act)
    )


def _agent(policy: Any) -> tuple[Any, dict[str, Any]]:
    """Return the acting function and the arguments of the world it acts in."""
    from rungwise.validation import InputError

    if hasattr(policy, "act"):
        env, fields = policy.metadata["env"].removeprefix("envs:"), policy.metadata["env_kwargs"]
        objective = fields.get("objective", "multigrid")
        if (env, objective) != ("EdgeSelection-v0", "multigrid"):
            what = f"for {env}" if env != "EdgeSelection-v0" else f"with objective={objective!r}"
            raise InputError(
                f"A strength of connection is chosen by policies for EdgeSelection-v0 with "
                f"objective='multigrid', but this one was trained {what}: train one with "
                "`rungwise train edges`."
            )
        return policy.act, {name: fields[name] for name in _KEPT if name in fields}
    numbers = np.asarray(policy, np.float64)
    if numbers.shape != (5,) or not np.isfinite(numbers).all():
        raise InputError(f"by must be a policy or five finite numbers, but it is {policy!r}.")
    return lambda _: numbers, {}
