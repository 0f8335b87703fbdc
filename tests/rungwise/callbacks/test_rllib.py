# pyright: basic
"""The callback of RLlib in an algorithm of its own."""

import functools

import pytest
from nan_rewards import NaNRewards
from ray import tune
from ray.rllib.algorithms.ppo import PPOConfig

from rungwise.callbacks.rllib import HealthCallback
from rungwise.judging.watch import TimeLimit


@pytest.mark.system
@pytest.mark.parametrize("stops", [True, False])
def test_a_result_with_nan_rewards_is_the_last(local_ray, stops):
    # From the third iteration on.
    tune.register_env("nan_rewards", lambda _config: NaNRewards(first=401))
    callback = functools.partial(HealthCallback, stops=stops, time_limit=TimeLimit(fraction=1.0))
    config = (
        PPOConfig()
        .environment("nan_rewards")
        .env_runners(num_env_runners=0)
        .training(train_batch_size=200, minibatch_size=200, num_epochs=1)
        .callbacks(callback)  # pyright: ignore[reportArgumentType]
    )
    algorithm = config.build_algo()
    (health,) = algorithm.callbacks  # pyright: ignore[reportGeneralTypeIssues]
    try:
        assert [algorithm.train()["done"] for _ in range(3)] == [False, False, stops]
    finally:
        algorithm.stop()
    finding = health.watch.stop
    assert finding and (finding.symptom, finding.since) == ("not_finite", 3)
    assert {"kl_runaway", "low_explained_variance"} <= set(health.watch.diagnosis.judged)
