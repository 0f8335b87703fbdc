# pyright: basic
"""Two learners train a network of which the loss leaves a part out.

In a file of its own: the learners of ``test_several_learners.py`` would leave it no CPU.
"""

import numpy as np
import pytest
import small

pytestmark = pytest.mark.system


def test_two_learners_need_no_gradient_of_the_critic(local_ray):
    # With this baseline nothing reads the critic, which is a head of its own here.
    chosen = {"num_learners": 2, "baseline": "moving_average", "memory": "gru"}
    chosen |= {"sequence_length": 4, "epochs": 1, "num_envs": 8}
    with small.algorithm("toy_worlds:Bandit-v0", algo="reinforce", **chosen) as two:
        for _ in range(2):
            two.train()
        assert two.flat_metrics["updates"] > 1 and np.isfinite(two.flat_metrics["grad_norm"])
