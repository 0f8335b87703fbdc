# pyright: basic, reportAttributeAccessIssue=false, reportOptionalOperand=false
"""RLlib's own algorithms: names, settings, configuration and environment."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sound_env import Sound

from algos.rllib.rllib_algorithms import (
    TrainingEnv,
    check_starts,
    list_rllib_algorithms,
    list_settings,
    log_episode_metrics,
    make_config,
    reshape_action,
)
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.group_sampler import TRAINING_SEED
from rungwise.validation import InputError


def test_names_are_those_of_the_registry_with_a_line_each():
    known = list_rllib_algorithms()
    assert {"rllib/DQN", "rllib/SAC", "rllib/PPO", "rllib/IMPALA"} <= known.keys()
    assert all(known.values())


def test_settings_are_applied_to_rllibs_configuration():
    given = {"lr": 0.002, "epsilon": [[0, 1.0], [100, 0.1]], "model_config": {"vf_share_layers": 1}}
    config = make_config("rllib/DQN", given | {"replay_buffer_config": {"capacity": 70}})
    assert config.lr == 0.002 and config.epsilon == [[0, 1.0], [100, 0.1]]
    assert config.model_config["vf_share_layers"] == 1
    # Merged with its defaults, as RLlib's own methods do.
    assert config.replay_buffer_config["capacity"] == 70
    assert config.replay_buffer_config["type"] == "PrioritizedEpisodeReplayBuffer"


@pytest.mark.parametrize("algo", ["rllib/APPO", "rllib/DQN", "rllib/IMPALA", "rllib/PPO"])
def test_iterations_end_by_steps_in_one_process_by_default(algo):
    config = make_config(algo, {})
    assert config.num_env_runners == config.num_learners == 0
    assert not config.min_time_s_per_iteration
    assert algo == "rllib/PPO" or config.min_sample_timesteps_per_iteration > 0


def test_an_iteration_is_the_batch_that_was_chosen():
    config = make_config("rllib/IMPALA", {"train_batch_size_per_learner": 4000})
    assert config.min_sample_timesteps_per_iteration == 4000
    chosen = {"train_batch_size_per_learner": 4000, "min_sample_timesteps_per_iteration": 700}
    assert make_config("rllib/IMPALA", chosen).min_sample_timesteps_per_iteration == 700


@pytest.mark.parametrize(
    ("algo", "settings", "part"),
    [
        ("rllib/SACK", {}, "did you mean rllib/SAC"),
        ("rllib/DQN", {"epsilonn": 1}, "did you mean epsilon"),
        ("rllib/DQN", {"lr": "fast"}, "settings.lr must be a number"),
        ("rllib/DQN", {"env_config": {}}, "env_kwargs"),
        ("rllib/DQN", {"observation_filter": "MeanStdFilter"}, "no setting"),
        ("rllib/DQN", {"model_config": {"fcnet_hidden": [8]}}, "did you mean fcnet_hiddens"),
        ("rllib/DQN", {"model_config": 8}, "names and values"),
        ("rllib/PPO", {"minibatch_size": 5000}, "minibatch_size"),
        ("rllib/BC", {}, "settings.input_"),
    ],
)
def test_wrong_settings_are_refused_with_a_sentence(algo, settings, part):
    with pytest.raises(InputError, match=part):
        make_config(algo, settings)


def test_classes_and_functions_are_no_settings():
    assert (
        not {"callbacks_class", "rl_module_spec", "learner_class"}
        & list_settings("rllib/PPO").keys()
    )


def test_training_seeds_lie_above_those_of_evaluations():
    env = TrainingEnv({"env": "CartPole-v1", "env_kwargs": {}, "fault_file": ""})
    observation, _ = env.reset(seed=5)
    expected, _ = gymnasium.make("CartPole-v1").reset(seed=TRAINING_SEED + 5)
    np.testing.assert_array_equal(observation, expected)
    # Of 31 bits, as the environments that seed a C library need them.
    np.testing.assert_array_equal(env.reset(seed=2**31 - 2**30 + 5)[0], expected)


class Named(Sound):
    """Its last info names a success, a text, or neither."""

    def __init__(self, **info):
        self.info = info

    def step(self, action):
        *rest, _ = super().step(action)
        return *rest, self.info


gymnasium.register("Named-v0", lambda **info: Named(**info))


@pytest.mark.parametrize(
    ("info", "figures"),
    [({"success": True}, {"success": 1.0}), ({"success": "goal"}, {}), ({}, {})],
)
def test_figures_of_an_episode_are_numbers(info, figures):
    env = TrainingEnv({"env": "Named-v0", "env_kwargs": info, "fault_file": ""})
    infos = [env.reset(seed=0)[1], *(env.step(0)[-1] for _ in range(Sound.length))]
    # What differs in kind between copies cannot be batched.
    assert infos == [*[{}] * Sound.length, {"episode_metrics": figures}]


def test_a_success_that_is_not_named_is_a_failure_where_one_was():
    logged: list[float] = []
    logger = SimpleNamespace(log_value=lambda name, value, window: logged.append(value))
    runner = SimpleNamespace()
    for figures in ({}, {"success": 1.0}, {}):
        episode = SimpleNamespace(get_infos=lambda _, f=figures: {"episode_metrics": f})
        log_episode_metrics(episode=episode, env_runner=runner, metrics_logger=logger)
    assert logged == [1.0, 0.0]


def test_failure_of_the_environment_names_its_line(monkeypatch, tmp_path):
    file = tmp_path / "fault"
    env = TrainingEnv({"env": "CartPole-v1", "env_kwargs": {}, "fault_file": str(file)})
    monkeypatch.setattr(env.env, "step", lambda action: {}["wind"], raising=False)
    env.reset(seed=0)
    with pytest.raises(EnvironmentFault, match=r"CartPole-v1 failed .*wind.*test_rllib_alg"):
        env.step(0)
    assert "CartPole-v1 failed" in file.read_text()


def test_single_numbers_of_an_action_have_no_axis():
    space = spaces.Dict(
        {
            "choice": spaces.Discrete(3),
            "value": spaces.Box(-1, 1, ()),
            "pair": spaces.Box(0, 1, (2,)),
        }
    )
    action = reshape_action(
        space, {"choice": 2, "value": np.array([0.5]), "pair": np.array([0.1, 0.2])}
    )
    assert (
        action["choice"] == 2 and np.shape(action["value"]) == () and action["pair"].shape == (2,)
    )


def test_choices_that_rllib_would_shift_are_refused():
    shifted = spaces.MultiDiscrete([2, 3], start=[0, 4])
    check_starts(spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1))), "action")
    for space in (shifted, spaces.Dict(a=spaces.Tuple((spaces.Discrete(3, start=1),)))):
        with pytest.raises(InputError, match="counts choices from 0"):
            check_starts(space, "action")
