# pyright: basic
"""CausalLearning: its difficulty, its accounts, its reward and its observations."""

import dataclasses

import gymnasium
import numpy as np
import pytest

import envs
from envs import counter_rng
from envs.causal.learning import baselines
from envs.causal.learning.params import MlpParams, Params
from envs.causal.learning.reward import NAMES, POSTMORTEM, RewardTerms
from envs.causal.learning.world import CausalLearning
from envs.validation import InputError


def play(agent, copies=256, **fields):
    """The last step of one episode of an agent, its infos and its rewards [T, B]."""
    world = CausalLearning(Params(**fields))
    state, _ = world.reset(counter_rng.make_keys(0, copies))
    keys = counter_rng.make_keys(77, copies)
    infos, rewards = [], []
    for t in range(world.params.interventions):
        step = world.step(state, agent(world, state, counter_rng.fold(keys, t)))
        state = step.state
        infos.append(step.info)
        rewards.append(step.reward)
    return step, infos, np.array(rewards)


def median(agent, **fields):
    step, _, _ = play(agent, **fields)
    return float(np.median(step.info["excess_risk"]))


def always(node, value=None):
    """Set one node, to one value or to any."""

    def agent(world, state, keys):
        position = 2 * counter_rng.uniform(keys) - 1 if value is None else np.full(len(keys), value)
        return {"choice": np.full(len(keys), node), "value": position}

    return agent


def test_baselines_rank_as_defined():
    found = {
        "random": median(baselines.random_choice),
        "round_robin": median(baselines.round_robin),
        "parents_first": median(baselines.parents_first),
        "design": median(baselines.posterior_variance_design),
    }
    assert found["design"] < found["parents_first"] < found["round_robin"] < found["random"]
    expected = {"random": 1.17, "round_robin": 0.87, "parents_first": 0.23, "design": 0.09}
    assert found == pytest.approx(expected, rel=0.15)


def test_setting_one_node_for_ever_is_bad():
    # X2's own mechanism is never seen: the mean square of 2x + 1 over U(-4, 4) is 22.3.
    assert 22 < median(always(1)) < 24


def test_watching_without_setting_anything_is_not_enough():
    # X5 is a leaf: setting it teaches nothing, so only the rows without intervention count.
    fields = {"interventions": 40, "rows": 1, "observe_every": 1, "observation_rows": 50}
    assert median(always(4, 0.0), copies=32, **fields) > 1


def test_parents_first_goes_round_as_the_graph_says():
    world = CausalLearning(Params())
    state, _ = world.reset(counter_rng.make_keys(0, 1))
    problem = world.get_problem(state)
    turns = baselines.compute_turn_order(problem.parents[0], problem.settable[0])
    assert [world.choice_names[i] for i in turns] == [
        "X2",
        "X4",
        "X2",
        "X1",
    ]


def test_a_design_without_a_posterior_is_refused_in_a_sentence():
    world = CausalLearning(Params(student="mlp"))
    state, _ = world.reset(counter_rng.make_keys(0, 1))
    assert "posterior_variance_design" not in world.baselines
    with pytest.raises(InputError, match="needs a student with a posterior"):
        baselines.posterior_variance_design(world, state, counter_rng.make_keys(0, 1))


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
    _, infos, rewards = play(baselines.random_choice, copies=8, reward=POSTMORTEM)
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


def test_observations_are_finite_and_about_unit_scale():
    env = gymnasium.make_vec(
        "envs:CausalLearning-v0", num_envs=64, vectorization_mode="vector_entry_point"
    )
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(25):
        assert observation in env.observation_space
        assert np.abs(observation["nodes"]).max() < 3
        observation, *_ = env.step(env.action_space.sample())


def test_observations_do_not_betray_the_truth():
    world, other = CausalLearning(Params()), CausalLearning(Params())
    problem = other.get_problem(other.reset(counter_rng.make_keys(0, 1))[0])
    truth = problem.truth
    wrong = dataclasses.replace(truth, target=tuple(part + 1.0 for part in truth.target))
    other._common = dataclasses.replace(problem, truth=wrong)
    action = {"choice": np.array([1]), "value": np.array([0.3])}
    seen, excess = [], []
    for one in (world, other):
        state, _ = one.reset(counter_rng.make_keys(0, 1))
        step = one.step(state, action)
        seen.append(step.observation["nodes"])
        excess.append(step.info["node_excess"])
    assert (excess[0] != excess[1]).any()
    np.testing.assert_array_equal(*seen)


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
