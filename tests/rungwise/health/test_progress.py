# pyright: basic
"""The progress of a score: a gain in few episodes, in even ones, and a dip after learning."""

import math

import numpy as np
import pytest
from health_runs import history

from rungwise.health import History, diagnose
from rungwise.health.rules.no_improvement import NoImprovement

LANDER = [
    (20, -184), (23, -149), (21, -103), (24, -97), (18, -81), (19, -103), (13, -102), (11, -72),
    (15, -60), (18, -19), (15, 0), (13, -3), (4, 8), (5, 22), (5, 70), (4, 58), (1, 148), (1, 139),
    (3, 153), (5, 87), (2, 74), (2, 79), (1, 113), (4, 139), (1, 137), (2, 146), (3, -12), (5, 110),
    (4, 88), (4, 42), (4, 29), (2, 115), (7, 38), (4, -65), (2, -27), (3, 28), (3, 138), (4, 42),
    (1, -107), (3, 97), (3, 71), (2, 40), (2, -28), (5, 56), (4, 28), (2, -49), (2, 178), (4, 117),
    (3, 39), (2, -62), (2, 0), (6, -17), (1, -94), (2, 13),
]  # fmt: skip
"""Episodes and their mean return in each iteration of a PPO run on LunarLander-v3."""


FISHING = [
    207.6, 256.9, 311.3, 339.9, 359.4, 354.3, 359.8, 357.0, 360.3, 360.3, 358.0, 356.6, 358.0,
    353.9, 328.5, 354.1, 352.4, 358.4, 333.5, 311.5, 331.6, 340.8, 332.3, 342.0, 346.6,
]  # fmt: skip
"""Returns of eight episodes each, of Fishwood in MO-Gymnasium, which had been learnt within 40."""


def test_where_all_episodes_are_as_long_the_first_ones_are_the_start():
    """Elsewhere short episodes finish first, so that fifty are skipped."""
    for lengths, improved in ((200.0, True), (lambda i: 200.0 - (i == 1), False)):
        run = history(15, score=FISHING[:15], episodes=8, episode_length=lengths)
        assert run.progress.improved is improved


def test_a_dip_after_learning_is_no_lack_of_it():
    run = history(25, score=FISHING, episodes=8, episode_length=200.0, explained_variance=0.0)
    dip = run.without_last(3)
    assert dip.progress.improved is False and run.progress.improved
    found = [diagnose(run.without_last(ago)).findings for ago in range(10)]
    assert not any(f.symptom == "low_explained_variance" for findings in found for f in findings)


def test_a_gain_is_seen_through_the_noise_of_few_episodes():
    rows = [
        {"iteration": i, "episodes": episodes, "score": mean}
        for i, (episodes, mean) in enumerate(LANDER, 1)
    ]
    assert History(rows, 60).progress.improved is True
    assert NoImprovement()(History(rows, 60)) is None
    # Where the episodes are not counted, nothing is known of the noise.
    uncounted = [{name: row[name] for name in ("iteration", "score")} for row in rows]
    assert History(uncounted, 60).progress.improved is False


@pytest.mark.parametrize("length", [math.nan, 200.0])
@pytest.mark.parametrize("episodes", [1, 3, 8])
def test_noise_of_few_episodes_is_no_gain(episodes, length):
    rng = np.random.default_rng(episodes)
    noise = rng.normal(-100, 30 / math.sqrt(episodes), (100, 60))
    counted = {"episodes": episodes, "episode_length": length}
    improved = [history(60, score=row.tolist(), **counted).progress.improved for row in noise]
    assert sum(found is True for found in improved) <= 3
