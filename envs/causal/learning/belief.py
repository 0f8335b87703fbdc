"""The reward that a student with a posterior expects of an intervention, which costs no rows.

The post-mortem tried four candidates for every intervention in the environment, so that each step
cost four times its rows. A student with a posterior can simulate the rows instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.causal.action import validate_action
from envs.causal.learning import reward
from envs.causal.learning.observation import uncertainty
from envs.causal.learning.state import State, Task
from envs.contract import counter_rng
from envs.contract.pytree import Array
from rungwise.validation import InputError


def predict_rewards(task: Task, state: State, action: Mapping[str, Array]) -> Array:
    """Return the reward [B], float32, that students expect of a step from states [B].

    The observed uncertainty, summed over nodes, replaces the excess risk, which needs the truth.
    Rows are simulated from the student's means, with the same noise for all actions from a state.
    Bonuses depend on the choices alone.

    Raises:
        InputError: the student has no posterior, or the reward cannot be predicted from it.
    """
    params, problem, student = task.params, task.get_problem(state), task.student
    if params.student != "bayes_linear":
        raise InputError(
            f"Only a student with a posterior knows what to expect, but this one is "
            f"{params.student!r}: set student='bayes_linear', or try candidates in the environment."
        )
    if params.reward.improvement or not params.reward.log_gain:
        raise InputError(
            "A student expects its uncertainty to fall by a factor, not its loss by an amount, but "
            f"reward.log_gain is {params.reward.log_gain:g} and reward.improvement "
            f"{params.reward.improvement:g}: use log_gain alone, or try candidates in the "
            "environment."
        )
    node, position = validate_action(action, len(state.keys), problem.scm.nodes)
    chosen, values = task.compute_setting(state, node, position)
    keys = counter_rng.fold(counter_rng.fold(state.keys, state.step), _IMAGINED)
    noise = counter_rng.normal(keys, (params.rows, problem.scm.nodes))
    imagining: Any = student
    mechanisms = imagining.expected_variance(state.student, noise, chosen, values)
    # Roots that are set in these rows gain no rows of their own distribution.
    count = student.roots(state.student).count + params.rows * ~chosen[:, student.root_nodes]
    roots = (problem.truth.is_root / (1 + count)).sum(axis=1)
    gain = reward.compute_log_fall(uncertainty(task, state).sum(axis=1), mechanisms + roots)
    recent = reward.remember_choices(state.recent, state.step, node)
    extra = reward.compute_bonuses(params.reward, recent, problem.scm.real, node)
    return (params.reward.log_gain * gain + sum(extra)).astype(np.float32)


_IMAGINED = 5
"""A random stream apart from those of the world: simulated rows must not be the real ones."""
