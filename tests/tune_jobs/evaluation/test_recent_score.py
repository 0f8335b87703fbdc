# pyright: basic
"""What a score is the mean of."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_jobs.evaluation.recent_score import FEWEST, POOLED, RecentEpisodes, is_episode_mean

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
