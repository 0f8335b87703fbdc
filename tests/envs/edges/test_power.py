# pyright: basic
"""Parts of real power grids."""

import pytest
from scipy.sparse import csgraph

pytest.importorskip("pandapower")

from envs import counter_rng
from envs.edges import instances, power
from envs.validation import InputError


def test_parts_of_power_grids_are_connected_and_real():
    seen = set()
    for seed in range(6):
        found = power.part(100, counter_rng.make_keys(seed, 1))
        assert found.shape == (100, 100) and (found != found.T).nnz == 0 and found.data.min() > 0
        assert csgraph.connected_components(found)[0] == 1
        seen.add(float(found.sum()))
    assert len(seen) == 6
    whole = power._grid("case300")  # 411 branches, two of them beside another
    assert whole.shape == (300, 300) and whole.nnz // 2 == 409
    with pytest.raises(InputError, match="take a size of at most 96"):
        instances.draw_matrix("power_grid", 97, counter_rng.make_keys(0, 1))
