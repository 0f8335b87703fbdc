# pyright: basic
"""Rewards are normalised by what all episodes earned, whichever runner played them."""

import numpy as np
import pytest
import small
import torch

from algos.ppo import PPOObjective
from algos.rollouts.return_scale import ReturnScale
from algos.rollouts.rollout import (
    Rollout,
)

BANDIT = "toy_worlds:Bandit-v0"


def test_the_unit_is_the_root_mean_square_of_all_returns():
    scale = ReturnScale()
    assert scale.unit == 1
    scale.record_returns([0.0])
    assert (scale.episodes, scale.unit) == (1, 1)  # nothing was earned yet
    scale.record_returns([3.0, -4.0, np.nan, np.inf])
    assert (scale.episodes, scale.unit) == (3, pytest.approx((25 / 3) ** 0.5))
    other = ReturnScale()
    other.set_state(scale.get_state())
    other.record_returns([1.0])
    assert other.unit == pytest.approx((26 / 4) ** 0.5)


def test_normalised_rewards_do_not_depend_on_their_scale():
    rng = np.random.default_rng(0)
    rewards, values, following = rng.normal(size=(3, 4, 2)).astype(np.float32)
    ends, all_ = np.zeros((4, 2), bool), np.ones((4, 2), bool)
    rows = rng.normal(size=(4, 2, 3)).astype(np.float32)

    def credited(times, wanted):
        columns = {"row_reward": times * rows}
        played = Rollout(
            columns, times * rewards, values, following, ends, all_, reward_unit=0.5 * times
        )
        return PPOObjective(small.settings(normalise_rewards=wanted)).compute_advantages(played)

    one, hundred = credited(1, True), credited(100, True)
    for name in ("advantages", "returns", "row_advantages"):
        np.testing.assert_allclose(one[name], hundred[name], rtol=1e-4, atol=1e-5)
    assert np.abs(credited(100, False)["returns"]).max() > 10 * np.abs(one["returns"]).max()


def train_and_look(algorithm, look):
    """Train an iteration; return what was there after the update, and how the unit changed then."""
    seen, learn, unit = [], algorithm._learn, algorithm.reward_scale.unit

    def learn_and_look(*args):
        metrics = learn(*args)
        seen.append(look())
        return metrics

    algorithm._learn = learn_and_look
    algorithm.train()
    algorithm._learn = learn
    factor = unit / algorithm.reward_scale.unit
    assert abs(factor - 1) > 1e-3
    return seen[0], factor


@pytest.mark.usefixtures("local_ray")
def test_values_keep_their_size_when_the_unit_of_rewards_changes():
    with small.algorithm(BANDIT, normalise_rewards=True, normalise_values=True) as algorithm:
        network = algorithm.learner_group._learner._get_policy_network()

        def look():
            return network.compute_values({"obs": torch.zeros(1, 2)}).item()

        for _ in range(2):
            value, factor = train_and_look(algorithm, look)
            assert look() == pytest.approx(factor * value)


@pytest.mark.usefixtures("local_ray")
def test_the_moving_average_is_one_of_returns_in_the_present_unit():
    chosen = {"algo": "reinforce", "baseline": "moving_average", "entropy_coef": 0.0}
    with small.algorithm(BANDIT, normalise_rewards=True, **chosen) as algorithm:
        learner = algorithm.learner_group._learner
        for _ in range(2):
            before, factor = train_and_look(algorithm, lambda: learner.coefficients)
            changed = {
                "average_return": factor * before["average_return"],
                "average_square": factor**2 * before["average_square"],
            }
            assert learner.coefficients == pytest.approx(before | changed)
        found = algorithm.flat_metrics
        assert found["policy_loss"] == pytest.approx(found["total_loss"], rel=1e-4), "all there is"


@pytest.mark.system
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("runners", [0, 2])
def test_runners_share_the_reward_unit_and_checkpoints_keep_it(runners, tmp_path):
    chosen = {"normalise_rewards": True, "num_env_runners": runners}

    def units(algorithm):
        group = algorithm.env_runner_group
        return group.foreach_env_runner(lambda r: r.reward_unit, local_env_runner=not runners)

    with small.algorithm(BANDIT, **chosen) as algorithm:
        algorithm.train()
        unit = algorithm.reward_scale.unit
        assert algorithm.reward_scale.episodes > 0 and unit != 1
        assert units(algorithm) == [unit] * max(runners, 1)
        algorithm.save_to_path(str(tmp_path))
    with small.algorithm(BANDIT, **chosen) as algorithm:
        algorithm.restore_from_path(str(tmp_path))
        assert units(algorithm) == [unit] * max(runners, 1)
