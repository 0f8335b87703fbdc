# pyright: basic
"""What a score is the mean of."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_jobs.evaluation.recent_score import (
    FEWEST,
    AgentScore,
    RecentEpisodes,
    is_episode_mean,
)
from tune_jobs.run_log.trial_outcome import POOLED

ITERATIONS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(1, 150)), min_size=1)


def pooled(iterations):
    recent = RecentEpisodes()
    for mean, episodes in iterations:
        recent.add(mean, episodes)
    return recent


@given(ITERATIONS)
def test_mean_over_the_fewest_iterations_with_100_episodes(iterations):
    pool = []  # of single episodes, by hand
    for mean, episodes in reversed(iterations):
        pool += [mean] * episodes
        if len(pool) >= POOLED:
            break
    recent = pooled(iterations)
    assert recent.episodes == len(pool)
    assert recent.mean(1) == pytest.approx(math.fsum(pool) / len(pool), abs=1e-9)


def test_iterations_count_by_their_episodes():
    # By hand: (2 * 10 + 30 * 1) / 32.
    assert pooled([(10.0, 2), (1.0, 30)]).mean() == pytest.approx(50 / 32)


def test_an_iteration_of_100_episodes_stands_for_itself():
    assert pooled([(9.0, 300), (5.0, 99), (1.0, 100)]).mean() == 1.0


def test_two_lucky_episodes_do_not_make_a_score():
    assert pooled([(0.0, 98), (100.0, 2)]).mean() == pytest.approx(2.0)


@pytest.mark.parametrize(("episodes", "decided"), [(FEWEST - 1, False), (FEWEST, True)])
def test_fewer_than_20_episodes_are_undecided(episodes, decided):
    recent = pooled([(1.0, episodes)])
    assert (recent.mean() is not None) == decided
    assert recent.mean(1) == 1.0


def test_no_episode_is_no_score_however_few_are_asked_for():
    assert RecentEpisodes().mean(0) is None


def test_it_can_be_written_as_json_and_read_back():
    recent = pooled([(1.0, 60), (2.0, 30), (3.0, 20)])
    again = RecentEpisodes(json.loads(json.dumps(recent.iterations)))
    assert again.iterations == recent.iterations
    recent.add(4.0, 70)
    again.add(4.0, 70)
    assert again.mean() == recent.mean()


@pytest.mark.parametrize("metric", ["return_mean", "success_rate", "excess_risk", "work_ratio"])
def test_means_over_finished_episodes_are_pooled(metric):
    assert is_episode_mean(metric)


@pytest.mark.parametrize(
    "metric", ["held_out_return_mean", "held_out_excess_risk", "return_max", "reward_mean", "kl"]
)
def test_held_out_episodes_and_other_metrics_are_not_pooled(metric):
    assert not is_episode_mean(metric)


def measured(rows, metric="return_mean", iterations=30, over=True):
    score = AgentScore(metric, iterations)
    values = [score.measure({"nonfinite": 0, "episodes": 0} | row, False) for row in rows[:-1]]
    values.append(score.measure({"nonfinite": 0, "episodes": 0} | rows[-1], over))
    return values, score.scored_reward


STUCK = {"unfinished_episodes": 6, "unfinished_return_mean": -2000.0}


def test_long_episodes_that_go_on_count_beside_those_that_ended():
    """Two lucky episodes of -50 do not hide six that go in circles."""
    values, _ = measured([{"return_mean": -50.0, "episodes": 2}, STUCK])
    # By hand: (2 * -50 + 6 * -2000) / 8.
    assert values == [None, pytest.approx(-1512.5)]


def test_they_change_the_score_of_iterations_without_an_end():
    rows = [{"return_mean": -50.0, "episodes": 20}, STUCK]
    assert measured(rows, over=False)[0] == [-50.0, pytest.approx(-13000 / 26)]


def test_of_other_metrics_nothing_is_known_before_the_end():
    rows = [{"success_rate": 1.0, "episodes": 20}, STUCK]
    assert measured(rows, "success_rate", over=False)[0] == [1.0, None]


@pytest.mark.parametrize(
    ("known", "steps"), [({"time_limit": 500, "running_length_max": 80}, 500),
                         ({"running_length_max": 80}, 80)],
)  # fmt: skip
def test_without_an_episode_the_last_rewards_score_at_the_end(known, steps):
    # 30 iterations: the last tenth are three.
    rows = [{"reward_mean": reward} | known for reward in (9.0, 1.0, 2.0, 3.0)]
    values, scored = measured(rows)
    assert values == [None, None, None, pytest.approx(2.0 * steps)]
    assert scored == 2.0


def test_an_episode_that_ended_scores_in_place_of_rewards():
    values, scored = measured([{"reward_mean": 1.0, "return_mean": 7.0, "episodes": 1}])
    assert values == [7.0] and scored is None


def test_rewards_score_no_other_metric_than_a_return():
    rows = [{"reward_mean": 1.0, "running_length_max": 80}]
    assert measured(rows, "success_rate") == ([None], None)
