# pyright: basic
"""The spread of normal values: where it is set, who follows it, and what a checkpoint keeps."""

import numpy as np
import pytest
import small
from gymnasium import spaces

from rungwise.validation import InputError

CAUSAL = "envs:CausalOptimisation-v0"
TASK = {"scm": "linear_random", "smallest": 3, "largest": 3, "interventions": 4}
NORMAL = {"value_distribution": "normal", "model": "set", "initial_log_std": -0.5}


def spreads(algorithm):
    """The log standard deviation of the learner and of the runner that collects."""
    learner = algorithm.learner_group.get_weights()["default_policy"]["log_std"]
    return float(learner[0]), float(algorithm.env_runner_group.local_env_runner.module.log_std[0])


@pytest.mark.usefixtures("local_ray")
def test_a_scheduled_spread_ends_with_the_budget_on_runners_too():
    chosen = NORMAL | {"log_std_schedule": "linear", "log_std_end": -2.5}
    with small.algorithm(CAUSAL, TASK, iterations=2, **chosen) as algorithm:
        assert spreads(algorithm) == (-0.5, -0.5)
        for expected in (-1.5, -2.5):
            algorithm.train()
            assert spreads(algorithm) == pytest.approx((expected, expected))
            assert algorithm.flat_metrics["value_spread"] == pytest.approx(np.exp(expected))


@pytest.mark.usefixtures("local_ray")
def test_the_spread_follows_the_score_and_survives_a_restore(tmp_path):
    # Between scores that any policy lies between, so that something must move.
    chosen = NORMAL | {"log_std_schedule": "performance", "log_std_scores": (-2.0, 2.0)}
    with small.algorithm(CAUSAL, TASK, **chosen) as algorithm:
        algorithm.train()
        share = (algorithm.flat_metrics["episode_mean"] + 2) / 4
        expected = -0.5 + share * (-2.0 + 0.5)
        assert spreads(algorithm) == pytest.approx((expected, expected), abs=1e-6)
        algorithm.save_to_path(str(tmp_path))
    with small.algorithm(CAUSAL, TASK, **chosen) as again:
        again.restore_from_path(str(tmp_path))
        assert spreads(again) == pytest.approx((expected, expected), abs=1e-6)


@pytest.mark.usefixtures("local_ray")
def test_in_any_other_environment_performance_is_the_mean_return():
    # It pays 1 + 2 + 3: a return of 6, which is half of the way from 0 to 12.
    chosen = {"log_std_schedule": "performance", "log_std_scores": (0.0, 12.0)}
    with small.algorithm("toy_worlds:Reaching-v0", **chosen) as algorithm:
        algorithm.train()
        assert spreads(algorithm) == pytest.approx((-1.0, -1.0))


@pytest.mark.usefixtures("local_ray")
def test_the_spread_stays_without_a_finished_episode():
    chosen = {"log_std_schedule": "performance", "rollout_length": 2, "minibatch_size": 4}
    with small.algorithm("toy_worlds:Reaching-v0", **chosen) as algorithm:
        algorithm.train()
        assert spreads(algorithm) == pytest.approx((0.0, 0.0))


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_several_learners_set_the_same_spread():
    chosen = NORMAL | {"log_std_schedule": "linear", "num_learners": 2, "minibatch_size": 4}
    with small.algorithm(CAUSAL, TASK, iterations=2, **chosen) as algorithm:
        algorithm.train()
        held = algorithm.learner_group.foreach_learner(
            lambda learner: float(learner._get_policy_network().log_std[0])
        )
        assert [result.get() for result in held.result_or_errors] == [-1.25, -1.25]
        assert spreads(algorithm)[1] == -1.25


@pytest.mark.parametrize("value", ["bins", "beta"])
def test_a_schedule_that_would_do_nothing_is_refused(value):
    space = spaces.Dict(choice=spaces.Discrete(3), value=spaces.Box(-1, 1, ()))
    chosen = {"value_distribution": value, "log_std_schedule": "linear"}
    with pytest.raises(InputError, match=r"'linear', but it would do nothing.*='normal'"):
        small.module(spaces.Box(-1, 1, (2,)), space, **chosen)
    small.module(spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (2,)), **chosen)


def test_a_way_of_no_length_is_refused():
    with pytest.raises(InputError, match=r"log_std_scores must be two scores.*\(0.5, 0.5\)"):
        small.settings(log_std_scores=(0.5, 0.5))
