# pyright: basic
"""Automatic resets of environments that are batched natively."""

import gymnasium
import numpy as np
import pytest
import small
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from toy_worlds import Counting

from rungwise.validation import InputError


class Hiding(SyncVectorEnv):
    """Counting that gives no final observations, and may give other infos."""

    def __init__(self, num_envs, scored, **kwargs):
        makers = [lambda: Counting(**kwargs)] * num_envs
        super().__init__(makers, autoreset_mode=AutoresetMode.SAME_STEP)
        self.scored = scored

    def step(self, actions):
        *result, _ = super().step(actions)
        return *result, {"score": np.zeros(self.num_envs)} if self.scored else {}


gymnasium.register("CountingHiding-v0", vector_entry_point=Hiding)


@pytest.mark.parametrize("scored", [False, True])
def test_a_truncated_step_needs_a_final_observation(scored):
    small.runner("CountingHiding-v0", {"scored": scored}).collect(8)
    truncated = {"scored": scored, "terminates": False, "truncates": True}
    with pytest.raises(InputError, match=r"copy 0 was truncated.*final_obs.*NEXT_STEP"):
        small.runner("CountingHiding-v0", truncated).collect(8)
