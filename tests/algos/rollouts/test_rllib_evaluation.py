# pyright: basic
"""What users of RLlib call on an algorithm and its runner: it works, or it is refused."""

from typing import Any

import numpy as np
import pytest
import small
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from toy_worlds import Counting

from algos.models.base import PolicyModule
from algos.rollouts.episodes import measure_returns
from algos.rollouts.rllib_evaluation import _count_episodes, evaluate_episodes
from envs.validation import InputError

COUNTING = "toy_worlds:Counting-v0"


@pytest.mark.parametrize(
    "asked",
    [
        {"num_timesteps": 100},
        {"num_timesteps": 0},
        {"num_episodes": 5},
        {"explore": False},
        {"random_actions": True},
        {"force_reset": True},
        {"num_step": 5},
    ],
    ids=str,
)
def test_a_sample_that_is_not_a_rollout_is_refused(asked):
    ((name, value),) = asked.items()
    with pytest.raises(InputError, match=rf"sample\({name}={value}\).*8 steps of 2 copies"):
        small.runner(COUNTING).sample(**asked)


def test_a_sample_may_be_asked_for_what_is_done_anyway():
    plain: Any = {"num_timesteps": None, "num_episodes": None, "explore": True}
    rows, _ = small.runner(COUNTING).sample(**plain, random_actions=False, force_reset=False)
    assert len(rows) == 16


def config(env=COUNTING, env_kwargs=None, **evaluation):
    return small._config("ppo", env, env_kwargs, 3, small.settings()).evaluation(**evaluation)


def played(config):
    """The result of an evaluation by the policy of a runner of the same configuration."""
    runner = small.runner(config.env, config.env_config)
    return evaluate_episodes(config, runner.get_spaces(), runner.module.get_state())["env_runners"]


def test_whole_episodes_are_played_and_summed_up():
    found = played(config(env_kwargs={"length": 4}, evaluation_duration=7))
    assert found["num_episodes"] == 7 and found["num_env_steps_sampled"] == 28
    assert found["episode_len_mean"] == 4
    assert [found[f"episode_return_{n}"] for n in ("min", "mean", "max")] == [10, 10, 10]


def test_an_evaluation_may_have_an_environment_of_its_own():
    longer = config(evaluation_duration=2, evaluation_config={"env_config": {"length": 6}})
    assert played(longer)["episode_len_mean"] == 6


@pytest.mark.parametrize("explore", [True, False])
def test_an_evaluation_draws_its_actions_unless_told_otherwise(explore, monkeypatch):
    greedy: list[bool] = []
    decide = PolicyModule.act_on_arrays

    def watched(self, *args, **how):
        greedy.append(how["greedy"])
        return decide(self, *args, **how)

    monkeypatch.setattr(PolicyModule, "act_on_arrays", watched)
    played(config(evaluation_config={"explore": explore}))
    assert set(greedy) == {not explore}


def test_a_world_of_ours_is_evaluated_too():
    found = played(config("envs:CausalLearning-v0", evaluation_duration=3))
    assert found["num_episodes"] == 3 and np.isfinite(found["episode_return_mean"])


@pytest.mark.parametrize(
    "asked",
    [
        {"evaluation_duration_unit": "timesteps"},
        {"custom_evaluation_function": len},
        {"evaluation_num_env_runners": 1},
    ],
    ids=str,
)
def test_an_evaluation_of_another_kind_is_refused(asked: Any):
    with pytest.raises(InputError, match="evaluate"):
        _count_episodes(config(**asked))


@pytest.mark.usefixtures("local_ray")
def test_evaluate_plays_on_an_algorithm_and_during_its_training():
    built: Any = config(evaluation_interval=1, evaluation_duration=3).build_algo()
    try:
        assert built.evaluate()["env_runners"]["num_episodes"] == 3
        result = built.train()
        assert result["evaluation"]["env_runners"]["episode_return_mean"] == 6
    finally:
        built.stop()


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_returns_are_those_of_the_first_episode_of_each_copy(mode):
    makers = [lambda length=length: Counting(length) for length in (2, 4, 2)]
    finished: list[int] = []
    returns, lengths = measure_returns(
        SyncVectorEnv(makers, autoreset_mode=mode),
        lambda seen: np.zeros(3, int),
        7,
        lambda count, steps: finished.append(count),
    )
    assert returns.tolist() == [3, 10, 3] and lengths.tolist() == [2, 4, 2]
    assert finished == [2, 3]
