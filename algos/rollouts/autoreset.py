"""Automatic resets: the final observations that they hide, and the states that outlive a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array

from algos.models.base import to_observation_columns
from algos.rollouts.rollout import Array
from envs.contract.pytree import where
from rungwise.validation import InputError


def gather_final_observations(
    infos: Mapping[str, Any], copies: Array, space: spaces.Space[Any]
) -> dict[str, Array]:
    """Return the observation columns [b, ...] with which the episodes of these copies [b] ended.

    Args:
        infos: of the step that ended them.
        copies: their numbers.
        space: of one observation.

    Raises:
        InputError: the environment does not give them.
    """
    final = infos.get("final_obs")
    if final is None:
        raise InputError(
            "The environment resets copies in the step that ends them (AutoresetMode.SAME_STEP), "
            f"and it gave no final observations when copy {copies[0]} was truncated: add those of "
            'all copies to infos as "final_obs", or show them in place of the first of the next '
            "episode and reset in the step after that (AutoresetMode.NEXT_STEP)."
        )
    if isinstance(final, np.ndarray) and final.dtype == object:
        # Gymnasium's own vector environments hand over one observation per finished copy, as it is.
        batch = concatenate(space, list(final[copies]), create_empty_array(space, len(copies)))
        return to_observation_columns(batch)
    return {name: column[copies] for name, column in to_observation_columns(final).items()}


def carry_state(
    after: dict[str, Array],
    before: dict[str, Array],
    acted: Array | None,
    over: Array | None = None,
) -> dict[str, Array]:
    """Return the state columns [B, ...] with which the next step begins.

    Args:
        after: the state after the step.
        before: that before it, which agents keep while they are absent: they acted on a
            placeholder, of which nothing may be left when they are back.
        acted: rows [B] whose agents were present; None: all.
        over: rows [B] whose episodes are over; None: none.
    """
    carried = after if acted is None else where(acted, after, before)
    return carried if over is None else clear_rows(carried, over)


def clear_rows(state: Mapping[str, Array], rows: Array) -> dict[str, Array]:
    """Return state columns [B, ...] with zeros, an episode's initial state, in rows [B].

    >>> clear_rows({"state.h": np.ones((2, 1))}, np.array([True, False]))["state.h"].tolist()
    [[0.0], [1.0]]
    """
    return {
        name: np.where(rows.reshape(-1, *(1,) * (column.ndim - 1)), column.dtype.type(0), column)
        for name, column in state.items()
    }
