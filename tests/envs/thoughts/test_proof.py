# pyright: basic
"""The seven tests of whether thoughts work, each of which must be able to fail."""

import numpy as np
import pytest
from small_reader import thinking

from envs.contract import counter_rng
from envs.thoughts import proof
from envs.thoughts.readings import read_thoughts

N = 400


def honest(seed=0):
    """Figures of thoughts that work."""
    draw = np.random.default_rng(seed)
    noise = lambda: draw.normal(0, 0.1, N)  # noqa: E731
    return {
        "log_p_with": -0.1 + noise(),
        "log_p_without": -1.6 + noise(),
        "log_p_shuffled": -4 + noise(),
        "log_p_random": -4 + noise(),
        "followed": np.ones(N),
        "divergence": np.full(N, 0.8),
        "coherence": -0.1 + noise(),
        "noise_coherence": -5 + noise(),
        "log_p_baked": -2 + noise(),
    }


def test_thoughts_that_work_pass_all_tests():
    found = proof.judge_episodes(honest())
    assert found["proved"] == 1
    assert found["gain"] == pytest.approx(1.5, abs=0.02)
    assert found["gain_low"] < found["gain"] < found["gain_high"]
    assert found["gain_over_baked"] == pytest.approx(1.9, abs=0.02)


def test_what_implies_no_answer_is_judged_by_the_other_tests():
    unknown = {"followed": np.full(N, np.nan)}
    found = proof.judge_episodes(honest() | unknown)
    assert found["proved"] == 1 and not {"followed", "passed_followed"} & set(found)
    assert proof.judge_episodes(honest() | unknown | {"log_p_baked": np.zeros(N)})["proved"] == 0


SICK = {
    "gain": {"log_p_without": -0.15},
    "own": {"log_p_shuffled": -0.5},
    "random": {"log_p_random": -1.4},
    "followed": {"followed": 0.4},
    "divergence": {"divergence": 0.2},
    "coherence": {"coherence": -5.0},
    "baked": {"log_p_baked": -0.05},
}


@pytest.mark.parametrize("name", SICK)
def test_each_test_fails_by_itself(name):
    changed = {figure: np.full(N, float(value)) for figure, value in SICK[name].items()}
    found = proof.judge_episodes(honest() | changed)
    failed = {test for test in SICK if not found[f"passed_{test}"]}
    assert name in failed and found["proved"] == 0
    if name != "gain":  # what is half of no gain?
        assert failed == {name}


def test_a_gain_that_may_be_chance_proves_nothing():
    draw = np.random.default_rng(0)
    figures = {name: values[:20] for name, values in honest().items()}
    figures["log_p_with"] = figures["log_p_without"] + 0.12 + draw.normal(0, 2, 20)
    figures["log_p_with"] += 0.12 - (figures["log_p_with"] - figures["log_p_without"]).mean()
    found = proof.judge_episodes(figures)
    assert found["gain"] > proof.GAIN and found["gain_low"] < 0
    assert found["passed_gain"] == 0


def test_without_an_examination_nothing_is_proved():
    figures = {n: v for n, v in honest().items() if n.startswith("log_p")}
    found = proof.judge_episodes(figures)
    assert "gain" in found and "proved" not in found


def test_the_interval_covers_the_mean_as_often_as_it_says():
    draw = np.random.default_rng(1)
    hit = 0
    for _ in range(200):
        _, low, high = proof.bootstrap_interval(draw.exponential(1.0, 100))
        hit += low <= 1.0 <= high
    assert 0.88 <= hit / 200 <= 0.99


def naive_distance(first, second):
    if not first or not second:
        return len(first) + len(second)
    return min(
        naive_distance(first[1:], second) + 1,
        naive_distance(first, second[1:]) + 1,
        naive_distance(first[1:], second[1:]) + (first[0] != second[0]),
    )


def test_the_edit_distance_is_that_of_its_definition():
    draw = np.random.default_rng(0)
    first, second = draw.integers(1, 4, (2, 60, 5))
    first = np.where(np.arange(5) < draw.integers(0, 6, 60)[:, None], first, 0)
    found = proof.edit_distance(first, second)
    for row in range(60):
        own = [t for t in first[row].tolist() if t]
        expected = naive_distance(own, second[row, : len(own)].tolist()) / max(len(own), 1)
        assert found[row] == pytest.approx(expected)


def test_a_correlation_with_what_never_changes_is_none():
    assert proof.correlation(np.ones(5), np.arange(5.0)) == 0
    assert proof.correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1)


def test_the_answer_follows_a_changed_thought(world):
    state, _ = world.reset(counter_rng.make_keys(0, 500))
    oracle = proof.compute_proof_metrics(world, thinking(world, state, "oracle"))
    problem = state.passages.problem
    assert oracle["followed"][problem].mean() > 0.95
    assert np.isnan(oracle["followed"][~problem]).all()
    silent = proof.compute_proof_metrics(world, thinking(world, state, "silent"))
    assert (silent["followed"][problem] == 0).all()
    # The random thoughts hang together less than the ones that were taught.
    assert oracle["coherence"][problem].mean() > oracle["noise_coherence"][problem].mean() + 1


def test_the_divergence_compares_what_stands_in_the_same_place(world):
    """The post-mortem's twelfth defect compared different ones."""
    state, _ = world.reset(counter_rng.make_keys(0, 50))
    ended = thinking(world, state, "oracle")
    plain = world.reader.write_continuation(ended.passages.context, 3)
    # What the reader writes first, without a thought, is its guess at what follows.
    nothing = np.zeros_like(ended.thought)
    guess = world.reader.predict_answer(ended.passages.context, nothing, ended.passages.answer)[1]
    np.testing.assert_array_equal(plain[:, 0], guess[:, 0])
    thought_about = ended.thought[:, 0] > 0
    expected = np.where(thought_about, proof.edit_distance(ended.thought, plain), np.nan)
    np.testing.assert_array_equal(proof.compute_proof_metrics(world, ended)["divergence"], expected)


def test_baked_thoughts_are_those_that_the_baked_agent_draws(world):
    state, _ = world.reset(counter_rng.make_keys(0, 500))
    written = proof.write_baked_thoughts(world, state)
    played = thinking(world, state, "baked").thought
    # Of other random streams, so that lengths and tokens agree on average alone.
    assert (written > 0).mean(0) == pytest.approx((played > 0).mean(0), abs=0.1)
    for step in range(written.shape[1]):
        ended = (written[:, step] == 0) & (written[:, step:] != 0).any(1)
        assert not ended.any()
    assert len(np.unique(written, axis=0)) > 4


@pytest.mark.parametrize(
    ("agent", "proved"), [("oracle", 1), ("random", 0), ("silent", 0), ("baked", 0)]
)
def test_only_helpful_thoughts_are_proved(world, agent, proved):
    state, _ = world.reset(counter_rng.make_keys(0, 500))
    ended = thinking(world, state, agent)
    found = proof.judge_episodes(
        read_thoughts(world, ended) | proof.compute_proof_metrics(world, ended)
    )
    assert found["proved"] == proved
    if agent == "baked":  # it gains nothing over itself
        assert found["gain_over_baked_low"] <= 0 <= found["gain_over_baked_high"]
        assert found["passed_baked"] == 0
