# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""Players and their episodes."""

from contextlib import closing

import gymnasium
import numpy as np
import pytest
import small
from gymnasium.vector.utils import batch_space
from masked_games import FORMS

from algos.policy import Policy
from algos.rollouts.env_factory import make_vector_env
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.players import (
    EnvironmentCopies,
    EvaluatedEpisodes,
    PolicyPlayer,
    RandomPlayer,
    join_episodes,
    play_world_episodes,
)


def test_episodes_of_several_batches_are_those_of_one():
    world = make_world("envs:CausalLearning-v0", {"scm": "ace5", "interventions": 4})
    assert world
    rule = world.baselines["random"]
    whole, *parts = (
        play_world_episodes(world, lambda s, o, k: rule(world, s, k), count, seed)
        for count, seed in ((9, 3), (4, 3), (5, 7))
    )
    together = join_episodes(parts)
    assert len(together) == 9 and together.lengths.tolist() == whole.lengths.tolist()
    for name, values in whole.metrics.items():
        np.testing.assert_array_equal(together.metrics[name], values)
    assert together.traces is not None and whole.traces is not None
    np.testing.assert_allclose(together.traces, whole.traces, rtol=1e-5)
    assert together.choice_fractions == pytest.approx(whole.choice_fractions)
    for one, other in zip(together.actions, whole.actions, strict=True):
        assert all((one[name] == other[name]).all() for name in one)


def test_losses_of_ended_episodes_stay_what_they_were():
    shape = {"scm": "ace5", "stop_when_learnt": True, "patience": 2, "tolerance": 0.5}
    world = make_world("envs:CausalLearning-v0", shape)
    rule = world.baselines["round_robin"]
    played = play_world_episodes(world, lambda s, o, k: rule(world, s, k), 32, 0)
    assert np.ptp(played.lengths) > 0 and played.traces is not None
    assert played.traces[-1].sum() == pytest.approx(played.metrics["excess_risk"].mean(), rel=1e-5)


def test_a_batch_that_was_over_sooner_repeats_its_end():
    def part(steps, value):
        return EvaluatedEpisodes(
            {"score": np.array([value])},
            np.full((steps + 1, 2), value),
            np.zeros(0),
            [np.array([value * 10 + t]) for t in range(steps)],
            np.array([steps]),
        )

    found = join_episodes([part(1, 1.0), part(3, 5.0)])
    assert [a.tolist() for a in found.actions] == [[10, 50], [10, 51], [10, 52]]
    assert found.traces.tolist() == [[3, 3]] * 4
    assert found.lengths.tolist() == [1, 3] and found.choice_fractions == []


def test_a_random_player_is_no_twin_of_the_environment():
    # An environment draws from a generator of its seed, as a space with that seed would.
    space = batch_space(gymnasium.spaces.Discrete(2), 64)
    space.seed(3)
    player = RandomPlayer(gymnasium.spaces.Discrete(2))
    player.start_episodes(64, 3)
    assert (player(None, np.zeros((64, 2)), None) != space.sample()).any()


SPACES = {
    "discrete": gymnasium.spaces.Discrete(1000),
    "multidiscrete": gymnasium.spaces.MultiDiscrete([50, 50]),
    "box": gymnasium.spaces.Box(-1, 1, (2,)),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_random_actions_of_an_episode_depend_on_its_seed_only(space):
    player = RandomPlayer(space)

    def draw(count, first):
        player.start_episodes(count, first)
        observations = np.zeros((count, 1))
        return np.stack([player(None, observations, None) for _ in range(20)], 1)

    whole = draw(9, 0)
    np.testing.assert_array_equal(np.concatenate([draw(2, 0), draw(3, 2), draw(4, 5)]), whole)
    assert len(np.unique(whole.reshape(9, -1), axis=0)) == 9


GAMES = {"one_agent": "Pendulum-v1", "several": "agent_games:Couriers-v0"}


@pytest.mark.parametrize("env_id", GAMES.values(), ids=GAMES)
def test_random_episodes_do_not_depend_on_their_batches(env_id):
    with closing(make_vector_env(env_id, {}, 1)) as env:
        player = RandomPlayer(env.single_action_space)
    with closing(EnvironmentCopies(env_id, {})) as copies:
        whole = copies.play(player, 6, 4)
        parts = join_episodes([copies.play(player, 2, 4), copies.play(player, 4, 6)])
    assert len(np.unique(whole.metrics["return"])) > 1
    np.testing.assert_array_equal(parts.metrics["return"], whole.metrics["return"])


@pytest.mark.parametrize("kind", ["one", "several"])
@pytest.mark.parametrize("form", FORMS)
def test_random_play_in_an_evaluation_is_legal(form, kind):
    env_id, kwargs = f"masked_games:Game-{form}-v0", {"kind": kind}
    space = FORMS[form](kind).action_space
    # The game raises at every illegal move.
    with closing(EnvironmentCopies(env_id, kwargs)) as copies:
        found = copies.play(RandomPlayer(space), 16, 0)
    assert (found.lengths >= 3).all()
    assert 0 < found.metrics["return"].mean() < found.lengths.mean()


MEMORY = [{"frame_stack": 3}, {"memory": "gru", "sequence_length": 8}]


@pytest.mark.parametrize("chosen", MEMORY)
def test_every_batch_of_episodes_begins_without_memory(chosen):
    space = gymnasium.make("CartPole-v1").observation_space
    module = small.module(space, gymnasium.spaces.Discrete(2), scale=1.0, **chosen)
    player = PolicyPlayer(Policy(module, {}), greedy=True)
    with closing(EnvironmentCopies("CartPole-v1", {})) as copies:
        played = [copies.play(player, 6, 0).lengths for _ in range(2)]
    np.testing.assert_array_equal(*played)


def test_a_player_acts_as_the_policy_that_carries_its_state():
    space = gymnasium.spaces.Box(-1, 1, (2,))
    module = small.module(space, gymnasium.spaces.Discrete(9), scale=1.0, frame_stack=3)
    policy, rng = Policy(module, {}), np.random.default_rng(0)
    player, state = PolicyPlayer(policy, greedy=True), policy.initial_state(5)
    player.start_episodes(5)
    for _ in range(6):
        observations = rng.normal(size=(5, 2)).astype(np.float32)
        expected, state = policy.act_batch(observations, state)
        np.testing.assert_array_equal(player(None, observations, None), expected)


@pytest.mark.parametrize("chosen", MEMORY)
@pytest.mark.parametrize("kind", ["CouriersLate", "Commuters"])
def test_an_agent_remembers_its_own_steps_alone(kind, chosen, monkeypatch):
    env_id, games = f"agent_games:{kind}-v0", 8
    with closing(make_vector_env(env_id, {}, games)) as env:
        module = small.module(
            env.single_observation_space, env.single_action_space, scale=1.0, **chosen
        )
        policy = Policy(module, {})
        # By hand: each agent acts by itself, on what it sees where it is in its game.
        observations, infos = env.reset(seed=0)
        states, shown = [policy.initial_state() for _ in range(env.num_envs)], []
        for _ in range(5):
            actions = np.zeros(env.num_envs, np.int64)
            for row in np.flatnonzero(infos["present_agents"]):
                one = observations[row : row + 1]
                actions[row : row + 1], states[row] = policy.act_batch(one, states[row])
            shown.append((infos["present_agents"], actions))
            observations, *_, infos = env.step(actions)
    taken, act_batch = [], policy.act_batch

    def record(*args, **kwargs):
        taken.append(act_batch(*args, **kwargs))
        return taken[-1]

    monkeypatch.setattr(policy, "act_batch", record)
    with closing(EnvironmentCopies(env_id, {})) as copies:
        copies.play(PolicyPlayer(policy, greedy=True), games, 0)
    for (present, expected), (actions, _) in zip(shown, taken, strict=False):
        np.testing.assert_array_equal(actions[present], expected[present])
