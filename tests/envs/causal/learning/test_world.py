# pyright: basic
"""CausalLearning: its difficulty, its accounts, its reward and its observations."""

import gymnasium
import numpy as np
import pytest
from causal_episodes import always, play

import envs
from envs.causal.learning import baselines
from envs.causal.learning.params import MlpParams, Params
from envs.causal.learning.reward import NAMES, RewardTerms
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng
from rungwise.validation import InputError


def test_every_row_is_accounted_for():
    step, _, _ = play(always(0), copies=2, interventions=7, rows=30, observe_every=3)
    assert step.info["rows_executed"].tolist() == [210, 210]
    assert step.info["rows_observational"].tolist() == [400, 400]
    assert step.info["rows_lookahead"].tolist() == [0, 0]
    assert step.info["rows"].tolist() == [610, 610]


def test_rewards_sum_to_the_fall_of_the_log_risk():
    step, _, rewards = play(baselines.random_choice, copies=16)
    expected = np.log(30.0) - np.log(step.info["excess_risk"])
    np.testing.assert_allclose(rewards.sum(axis=0), expected, rtol=1e-4)


def test_reaching_the_horizon_terminates_and_never_truncates():
    step, infos, _ = play(always(1), copies=3, interventions=4)
    assert step.terminated.all() and not step.truncated.any()
    assert infos[-1]["length"].tolist() == [4, 4, 4]


def test_an_episode_can_end_when_nothing_is_left_to_learn():
    world = CausalLearning(Params(interventions=50, stop_when_learnt=True, patience=3))
    state, _ = world.reset(counter_rng.make_keys(0, 1))
    steps = 0
    for steps in range(50):  # noqa: B007 (counted on)
        step = world.step(state, {"choice": np.array([1]), "value": np.array([0.1])})
        state = step.state
        if step.terminated[0]:
            break
    assert steps < 49


def test_the_post_mortems_terms_add_up_and_are_reported_apart():
    _, infos, rewards = play(baselines.random_choice, copies=8, reward=RewardTerms(postmortem=True))
    terms = np.array([[info[f"reward_{name}"] for name in NAMES] for info in infos])
    np.testing.assert_allclose(terms.sum(axis=1), rewards, rtol=1e-5)
    before_bonus = np.array([info["reward_before_bonus"] for info in infos])
    np.testing.assert_allclose(before_bonus, terms[:, :2].sum(axis=1))
    assert (terms[:, 0] == 0).all()
    counted = {name: np.abs(terms[:, i]).max() for i, name in enumerate(NAMES)}
    assert all(counted[name] > 0 for name in ("improvement", "concentration", "coverage"))


def test_concentration_costs_200_for_the_share_beyond_40_percent():
    _, infos, _ = play(always(1), copies=1, reward=RewardTerms(concentration=200))
    shares = np.arange(1, 11) / np.maximum(np.arange(1, 11), 5)
    found = [float(info["reward_concentration"][0]) for info in infos]
    np.testing.assert_allclose(found, -200 * np.maximum(shares - 0.4, 0))


def test_coverage_pays_for_each_different_node():
    _, infos, _ = play(baselines.round_robin, copies=1, reward=RewardTerms(coverage=10))
    assert [float(i["reward_coverage"][0]) for i in infos] == [10, 20, 30, 40] + [50] * 6


def test_a_rare_choice_earns_only_while_choices_are_monotonous():
    def rare_at_the_end(world, state, keys):
        choice = np.where(state.step == 9, 3, 1)
        return {"choice": choice, "value": np.zeros(len(keys))}

    terms = RewardTerms(undersampled=200)
    _, infos, _ = play(rare_at_the_end, copies=1, reward=terms)
    # Its share is 1/10 of an equal 1/5; entropy .2 of its maximum is below .6.
    assert infos[-1]["reward_undersampled"][0] == pytest.approx(200 * (0.2 - 0.1))
    _, infos, _ = play(rare_at_the_end, copies=1, reward=RewardTerms(undersampled=200, window=1))
    assert infos[-1]["reward_undersampled"][0] == 0
    strict = RewardTerms(undersampled=200, diversity_threshold=0.1)
    _, infos, _ = play(rare_at_the_end, copies=1, reward=strict)
    assert infos[-1]["reward_undersampled"][0] == 0


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ({"choice": 5, "value": 0.0}, "node from 0 to 4, but it is 5"),
        ({"choice": -1, "value": 0.0}, "node from 0 to 4, but it is -1"),
        ({"choice": 0, "value": np.nan}, "NaN or infinite"),
        ({"choice": [0, 1], "value": 0.0}, "needs 1 choices and 1 values"),
    ],
)
def test_impossible_actions_are_refused_in_a_sentence(action, sentence):
    env = gymnasium.make("envs:CausalLearning-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(InputError, match=sentence):
        env.step(action)


def test_episodes_are_summarised_by_median_means_and_tail():
    world = envs.FAMILIES["CausalLearning-v0"].world(Params())
    found = world.summarise({"excess_risk": np.arange(11.0)})
    assert found.pop("geometric_mean") == pytest.approx(1.124, abs=0.001)
    assert found == {"median": 5.0, "mean": 5.0, "q90": 9.0}
    found = world.summarise({"excess_risk": np.array([0.1, 10.0])})
    assert found["geometric_mean"] == pytest.approx(1.0)


def test_the_networks_can_be_the_student():
    small = MlpParams(hidden=8, epochs=5)
    step, _, _ = play(baselines.parents_first, 2, interventions=3, student="mlp", mlp=small)
    assert step.state.student.layers[0].shape[-1] == 8
    assert np.isfinite(step.info["excess_risk"]).all()
    assert np.isfinite(step.observation["nodes"]).all()


def test_training_reports_node_losses_and_reward_terms():
    weighted = RewardTerms(postmortem=True)
    plain, terms = CausalLearning(Params()), CausalLearning(Params(reward=weighted))
    assert plain.list_metrics == ("node_excess",) and plain.step_metrics == ()
    assert terms.step_metrics == tuple(f"reward_{name}" for name in NAMES if name != "log_gain")
    family = CausalLearning(Params(scm="random"))
    assert family.list_metrics == ()
