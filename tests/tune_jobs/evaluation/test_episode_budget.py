# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""How many episodes an evaluation plays, and that all players play the same ones."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space
from synthetic_sweep import job_row, result

from algos import get_algorithm_class
from algos.models import MODELS
from algos.policy import Policy
from tune_jobs.evaluation.episode_budget import LEAST, plan_batches, sum_training_seconds
from tune_jobs.evaluation.evaluate import evaluate, make_world
from tune_jobs.evaluation.evaluation_status import EvaluationStatus, format_episode_count
from tune_jobs.evaluation.players import (
    EvaluatedEpisodes,
    join_episodes,
    make_random_player,
    play_world_episodes,
)
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.run_log.events import EndRow, EvaluationRow, JobEndRow


class Clock:
    """Each episode takes ``each`` seconds, a batch ``start`` more."""

    def __init__(self, each=1.0, start=0.0):
        self.now, self.each, self.start = 0.0, each, start

    def __call__(self):
        return self.now

    def play(self, **limits):
        """The batches as (first, count)."""
        found = []
        for first, count in plan_batches(clock=self, **limits):
            found.append((first, count))
            self.now += self.start + self.each * count
        return found


@pytest.mark.parametrize("episodes", [1, 19, 20, 21, 255, 256, 2000])
def test_a_number_that_is_asked_for_is_played_whatever_it_takes(episodes):
    assert Clock(1e6).play(episodes=episodes) == [(0, episodes)]


def test_where_time_allows_the_batches_are_always_the_same():
    expected = [(0, 20), (20, 20), (40, 40), (80, 80), (160, 96)]
    for each in (1e-6, 1e-3, 0.1):
        assert Clock(each).play(episodes=256, seconds=1000.0) == expected


@pytest.mark.parametrize("seconds", [0.0, 1.0, 30.0])
def test_the_least_number_is_played_without_time_for_it(seconds):
    assert Clock(10.0).play(episodes=256, seconds=seconds) == [(0, LEAST)]
    assert Clock(10.0).play(episodes=5, seconds=seconds) == [(0, 5)]


@pytest.mark.parametrize(
    ("seconds", "count"), [(25, 20), (39, 20), (40, 40), (100, 100), (199, 199)]
)
def test_time_is_used_up_and_not_overrun(seconds, count):
    clock = Clock(1.0)
    played = clock.play(episodes=256, seconds=float(seconds))
    assert sum(n for _, n in played) == count
    assert [first for first, _ in played] == np.cumsum([0, *(n for _, n in played)])[:-1].tolist()
    assert clock.now <= seconds


def test_copies_that_advance_together_are_not_cut_short():
    # A batch costs a second whatever its size: all 256 episodes take 5 of them.
    assert sum(n for _, n in Clock(0.0, 1.0).play(episodes=256, seconds=10.0)) == 256


def test_a_batch_has_a_largest_size():
    assert Clock().play(episodes=150, most=64) == [(0, 64), (64, 64), (128, 22)]
    sizes = [n for _, n in Clock(0.0).play(episodes=256, seconds=1.0, most=64)]
    assert sizes == [20, 20, 40, 64, 64, 48]


def test_training_time_is_that_of_all_sessions_without_the_pauses():
    rows = [
        job_row(time=100.0),
        result("00", 1, 0.1, time=105.0),
        # Killed, and resumed a day later; an evaluation comes after the training.
        job_row(time=90_000.0, resumed=True),
        result("00", 2, 0.1, time=90_007.0),
        EndRow(trial="00", iteration=2, reason="budget", time=90_008.0),
        EvaluationRow(trial="00", checkpoint="c", episodes=9, seed=0, policy={}, time=90_400.0),
        JobEndRow(reason="done", seconds=1.0, time=90_500.0),
    ]
    assert sum_training_seconds(rows) == pytest.approx(5 + 8)
    assert sum_training_seconds(rows[:1]) == 0


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


# A policy in an environment that is not ours.


class Lottery(gymnasium.Env):
    """Three steps, each of which pays what the seed says, whatever is done."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        reward = float(self.np_random.normal())
        return np.zeros(1, np.float32), reward, self.steps == 3, False, {}


gymnasium.register("Lottery-v0", Lottery)


def policy(env="CartPole-v1", **about):
    settings = get_algorithm_class("ppo").settings_class(hidden=(8,))
    made = gymnasium.make(env)
    module = MODELS["mlp"](
        observation_space=made.observation_space,
        action_space=made.action_space,
        model_config=settings.model_config,
    )
    return Policy(module.eval(), {"env": env, "env_kwargs": {}, **about})


def test_all_players_play_the_same_number_of_episodes():
    said = []
    found, summary, score = evaluate(
        policy(), 256, 0, seconds=0.0, tell=lambda *far: said.append(far)
    )
    assert set(found) == {"policy", "greedy", "random"}
    assert {len(episodes) for episodes in found.values()} == {LEAST}
    assert set(summary(found["policy"])) == {"return_mean", "return_std"} and score == "return"
    for player in found:
        done = [far for far in said if far[0] == player]
        assert done[-1] == (player, LEAST, 256) and [d[1] for d in done] == sorted(
            {d[1] for d in done}
        )


def test_each_episode_has_a_seed_of_its_own_the_same_for_all_players():
    # What is paid there follows from the seed alone.
    found, _, _ = evaluate(policy("Lottery-v0"), 30, 4, seconds=1e6)
    returns = {name: episodes.metrics["return"].tolist() for name, episodes in found.items()}
    assert returns["policy"] == returns["greedy"] == returns["random"]
    assert len(set(returns["policy"])) == 30


def test_progress_counts_the_episodes_of_all_batches():
    done: dict[str, list[int]] = {}
    told = lambda name, episodes, of: done.setdefault(name, []).append(episodes)  # noqa: E731
    evaluate(policy(), 30, 0, seconds=1e6, tell=told)
    for counts in done.values():
        assert counts == sorted(counts) and counts[-1] == 30 and LEAST in counts


def test_with_time_for_all_the_same_episodes_come_again():
    judged = policy()
    one, two = (evaluate(judged, 30, 5, seconds=1e6)[0] for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name].metrics["return"], two[name].metrics["return"])
    few = evaluate(judged, 30, 5, seconds=0.0)[0]
    for name in one:
        first = one[name].metrics["return"][:LEAST]
        np.testing.assert_array_equal(few[name].metrics["return"], first)


def test_a_random_player_is_no_twin_of_the_environment():
    # An environment draws from a generator of its seed, as a space with that seed would.
    space = batch_space(gymnasium.spaces.Discrete(2), 64)
    space.seed(3)
    drawn = make_random_player(gymnasium.spaces.Discrete(2), 3)(None, np.zeros((64, 2)), None)
    assert (drawn != space.sample()).any()


def test_a_job_reserves_the_seeds_of_all_its_episodes():
    assert make_job({"env": "CartPole-v1"}).most_evaluated == 256
    for number in (0, 7, 2000):
        job = make_job({"env": "CartPole-v1", "evaluation_episodes": number})
        assert job.most_evaluated == number


def test_how_many_were_played_is_said_with_the_reason():
    row = {"trial": "00", "checkpoint": "c", "seed": 0, "policy": {}}
    said = format_episode_count(EvaluationRow(episodes=40, most=256, **row), "episode")
    assert said.startswith("40 episodes (of 256: ") and "--episodes" in said
    assert (
        format_episode_count(EvaluationRow(episodes=256, most=256, **row), "episode")
        == "256 episodes"
    )
    assert str(EvaluationStatus("03", "policy", 64, 256)) == "evaluating: policy 64 of 256 episodes"
