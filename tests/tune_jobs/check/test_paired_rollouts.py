# pyright: basic
"""Two action sequences from the same start: what counts as informative."""

import numpy as np
from checks import check

from tune_jobs.check.paired_rollouts import count_informative_starts, summarise_test
from tune_jobs.check.rollouts import Episode
from tune_jobs.check.statistics import run_paired_test


def test_a_world_tries_several_actions_from_the_same_state():
    figures = check("CausalLearning-v0", "dependence")["figures"]["dependence"]
    assert figures["step"]["variance_fraction"] == 1
    assert figures["step"]["starts"] > 300
    assert 0.5 < figures["step_fresh_noise"]["variance_fraction"] < 1


def make_starts(*rewards):
    return [[Episode(list(part)) for part in start] for start in rewards]


def test_a_start_is_informative_where_it_differs_from_the_usual():
    usual, paid = [0.0, 0.0], [0.0, 1.0]
    assert count_informative_starts([]) == 0
    assert count_informative_starts(make_starts([usual] * 4, [usual] * 4)) == 0
    assert count_informative_starts(make_starts([usual] * 4, [usual, usual, usual, paid])) == 1
    # A cost of each step carries no information, an episode of another length does.
    cost = [-1.0, -1.0]
    assert count_informative_starts(make_starts([cost] * 4, [cost, cost, cost, [-1.0]])) == 1


def test_a_test_is_summarised_by_its_figures():
    figures = summarise_test(run_paired_test(np.array([[[1, 1], [2, 2]]] * 5)))
    assert (figures["starts"], figures["differing"], figures["variance_fraction"]) == (5, 5, 1)
    assert figures["p"] < 0.01
