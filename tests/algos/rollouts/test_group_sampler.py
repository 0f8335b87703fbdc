# pyright: basic
"""Which starts a runner's groups have."""

import numpy as np
import pytest
import small
import torch

from algos.rollouts.group_sampler import TRAINING_SEED, GroupSampler


def test_each_runner_takes_its_own_share_of_the_starts():
    starts = np.arange(10)
    shares = {}
    for index in range(4):
        built = small.runner("toy_worlds:Leaving-v0", algo="grpo", num_envs=4, group_size=2)
        built.worker_index = index
        found, _ = built.collect(8, starts=starts, group_size=2)
        shares[index] = found.columns["start"][0].tolist()
    assert shares[0] == shares[1] == [0, 0, 1, 1]
    assert shares[2] == [2, 2, 3, 3] and shares[3] == [4, 4, 5, 5]
    built.worker_index = 6  # its share lies beyond the last start
    found, _ = built.collect(8, starts=starts, group_size=2)
    assert found.columns["start"][0].tolist() == [0, 0, 1, 1]


def test_starts_are_drawn_anew_or_from_a_fixed_number():
    drawn = GroupSampler(3).draw_starts(5, torch.Generator()) - TRAINING_SEED
    assert sorted(set(drawn.tolist())) == [0, 1, 2] and len(drawn) == 5
    free = GroupSampler(0).draw_starts(100, torch.Generator())
    assert len(set(free.tolist())) == 100
    assert (free >= TRAINING_SEED).all() and (free < 2 * TRAINING_SEED).all()


@pytest.mark.parametrize("fixed", [0, 50])
def test_starts_depend_on_the_given_generator_alone(fixed):
    def draw(seed):
        return GroupSampler(fixed).draw_starts(50, torch.Generator().manual_seed(seed)).tolist()

    torch.manual_seed(2)
    first = draw(0)
    torch.manual_seed(1)
    assert draw(0) == first != draw(1)
