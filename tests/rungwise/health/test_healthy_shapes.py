# pyright: basic
"""Healthy runs of a shape that a rule once took for a fault: none is ended."""

import math

import numpy as np
import pytest
from health_runs import flat, history

from rungwise.health import RULES, diagnose
from rungwise.health.diagnosis import find_disproved


def find(run):
    """Symptom -> severity."""
    return {finding.symptom: finding.severity for finding in diagnose(run).findings}


def simulate_rates(probabilities, episodes, seed):
    rng = np.random.default_rng(seed)
    return (rng.binomial(episodes, probabilities) / episodes).tolist()


@pytest.mark.parametrize("n", [40, 100, 400])
def test_a_score_with_an_offset_is_not_ended_at_its_deterministic_optimum(n):
    course = -960 - 40 * np.exp(-np.arange(n) / (n / 20)) + flat(n, 0.0, 3.0)
    certain = np.maximum(0.01, np.exp(-np.arange(n) / (n / 15))).tolist()
    run = history(
        n, score=course.tolist(), entropy=certain, entropy_normalised=certain, episodes=50
    )
    assert "entropy_collapse" not in find(run)


@pytest.mark.parametrize("used", [79, 82, 95])
def test_a_run_that_rose_and_fell_is_not_ended(used):
    course = [0.0] * 20 + [1.0] * 12 + [0.0] * (used - 32)
    assert find(history(used, 100, score=course, episodes=20))["no_improvement"] == "note"


def test_a_slow_rise_in_many_noisy_rows_is_not_ended():
    """GRPO: the reward rises by one standard deviation of a step in 500 steps."""
    for seed in range(5):
        rewards = (0.3 + 0.08 * np.arange(500) / 500 + flat(500, 0.0, 0.08, seed=seed)).tolist()
        assert "no_improvement" not in find(history(500, score=rewards))
    assert "no_improvement" in find(history(500, score=flat(500, 0.3, 0.08, seed=1)))


def test_a_policy_that_imitated_a_certain_one_is_certain_on_purpose():
    certain = {"entropy_normalised": 0.02, "entropy": 0.02, "score": flat(60, 90.0, 3.0)}
    assert find(history(60, **certain))["entropy_collapse"] == "stop"
    assert find(history(60, **certain, warm_start_loss=0.1))["entropy_collapse"] == "note"


def test_a_wider_normal_distribution_ends_no_run():
    widening = [8.27 + 0.04 * i for i in range(60)]
    assert find(history(60, entropy=widening, score=flat(60)))["std_blowup"] == "warn"


@pytest.mark.parametrize(("normalised", "found"), [(True, False), (False, True)])
def test_normalised_rewards_have_targets_of_another_size(normalised, found):
    growing = {"target_abs_max": lambda i: 1.0 + 0.01 * i, "value_abs_max": 1.0}
    small = {"reward_abs_max": 1e-5, "return_max": 1e-4, "return_min": 0.0, "episode_length": 10}
    run = history(40, score=flat(40), value_loss=1.0, truncated_fraction=0, **small, **growing)
    run = type(run)(run.rows, 40, settings={"normalise_rewards": normalised})
    assert ("value_divergence" in find(run)) is found


def test_a_value_loss_that_begins_with_the_first_reward_has_not_grown():
    losses = [1e-8] * 7 + [1e-2] * 33
    rewarded = [0.0] * 7 + [0.03] * 33
    run = history(40, score=rewarded, return_mean=rewarded, value_loss=losses)
    run = type(run)(run.rows, 40, settings={"normalise_values": True})
    assert "value_divergence" not in find(run)


def test_a_loss_is_nan_until_the_first_update():
    waiting = {"policy_loss": [math.nan] * 3 + [0.1] * 37, "return_mean": 1.0}
    assert not any("not_finite" in find(history(n, 40, **waiting)) for n in range(1, 41))
    broken = {"policy_loss": [math.nan] * 40, "return_mean": 1.0}
    assert next(n for n in range(1, 41) if "not_finite" in find(history(n, 40, **broken))) == 8
    later = {"policy_loss": [0.1] * 5 + [math.nan], "return_mean": 1.0}
    assert find(history(6, 40, **later))["not_finite"] == "stop"


def test_rates_of_single_episodes_show_no_hacking():
    """Success doubles, and so does the return."""
    for seed in range(20):
        for episodes in (1, 5):
            rate = simulate_rates(np.linspace(0.2, 0.4, 60), episodes, seed)
            returns = (np.linspace(1, 2, 60) + flat(60, 0.0, 0.1, seed=seed)).tolist()
            told = {"success_rate": rate, "return_mean": returns, "episodes": episodes}
            for n in range(24, 61, 6):
                found = RULES["reward_hacking"](history(n, 60, score=returns, **told))
                assert found is None or found.severity != "stop"
                assert found is None or "(0%)" not in found.evidence


def test_rare_success_that_becomes_common_is_rarely_a_collapse():
    warned = 0
    for seed in range(40):
        course = 0.05 + 0.85 / (1 + np.exp(-(np.arange(40) - 20) / 4))
        rate = simulate_rates(course, 5, seed)
        rule = RULES["performance_collapse"]
        warned += any(rule(history(n, 40, score=rate, episodes=5)) for n in range(8, 41))
    assert warned <= 7


def test_what_never_happened_is_withdrawn_once_it_has():
    success = [0.0] * 28 + [0.5] * 12
    run = history(40, success_rate=success, score=flat(40), episodes=50, reward_std=0.3)
    assert not run.progress.improved
    assert find_disproved([("no_success", "warn")], run) == [("no_success", "warn")]
    early = history(28, 40, success_rate=success, score=flat(28), episodes=50, reward_std=0.3)
    assert find_disproved([("no_success", "warn")], early) == []


def test_a_warning_that_has_become_a_note_is_withdrawn():
    learns = np.concatenate([flat(20, 0.0, 0.1), np.linspace(0, 20, 20)]).tolist()
    losses = [1.0] * 20 + np.geomspace(1, 30, 20).tolist()
    run = history(40, score=learns, explained_variance=0.0, value_loss=losses, episodes=20)
    assert find(run)["low_explained_variance"] == "note"
    gone = find_disproved([("low_explained_variance", s) for s in ("note", "warn")], run)
    assert gone == [("low_explained_variance", "warn")]


@pytest.mark.parametrize(("peak", "found"), [(1.5, None), (2.0, "warn"), (70.0, "stop")])
def test_equal_returns_are_predicted_without_error_until_the_first_success(peak, found):
    # As recorded of Acrobot: no episode ends in the first rows, and then all at -500.
    losses = [0.6, 0.03, 0.003, 1e-3, 1e-4, 1e-4, *(peak * i / 20 for i in range(1, 21))]
    returns = [math.nan] * 3 + [-500.0] * 5 + flat(18, -440.0, 60.0)
    run = history(26, score=flat(26, -450.0, 40.0), return_mean=returns, value_loss=losses)
    run = type(run)(run.rows, 26, settings={"normalise_values": True})
    assert find(run).get("value_divergence") == found
