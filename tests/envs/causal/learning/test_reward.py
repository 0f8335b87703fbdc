# pyright: basic
"""The reward of causal learning term by term, worked out by hand."""

import dataclasses

import numpy as np
import pytest

from cluster.commands.job_flags import make_job_flags
from envs.causal.learning.metric import Risk
from envs.causal.learning.params import Params
from envs.causal.learning.reward import (
    NAMES,
    RewardTerms,
    compute_bonuses,
    compute_diversity,
    compute_log_fall,
    compute_rewards,
    compute_shares,
    count_choices,
    remember_choices,
)
from envs.factory import make_params
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import dump_job, make_job, make_plain, parse_job

ALL = np.ones((1, 4), bool)


def risk(excess, postmortem):
    nodes = np.zeros((len(excess), 4))
    known = {f.name: nodes for f in dataclasses.fields(Risk)}
    known |= {"excess": np.array(excess), "postmortem": np.array(postmortem)}
    return Risk(**known)


def test_the_oldest_choice_is_forgotten_first():
    recent = np.array([[-1, -1, -1], [4, 5, 6]])
    after = remember_choices(recent, np.array([0, 4]), np.array([2, 0]))
    assert after.tolist() == [[2, -1, -1], [4, 0, 6]]
    assert recent.tolist() == [[-1, -1, -1], [4, 5, 6]]


def test_choices_are_counted_and_places_without_one_are_not():
    recent = np.array([[-1, 0, 3, 0], [2, 2, 2, 2]])
    assert count_choices(recent, 4).tolist() == [[2, 0, 0, 1], [0, 0, 4, 0]]


def test_shares_are_of_at_least_as_many_choices_as_nodes():
    counts = np.array([[1, 0, 0, 0], [2, 1, 0, 1], [8, 0, 0, 0]])
    found = compute_shares(counts, ALL)
    assert found.tolist() == [[0.25, 0, 0, 0], [0.5, 0.25, 0, 0.25], [1, 0, 0, 0]]
    two = np.array([[True, True, False, False]])
    assert compute_shares(counts[:1], two).tolist() == [[0.5, 0, 0, 0]]


def test_diversity_is_the_entropy_over_its_maximum():
    counts = np.array([[1, 1, 1, 1], [2, 2, 0, 0], [5, 0, 0, 0], [0, 0, 0, 0]])
    assert compute_diversity(counts, ALL).tolist() == pytest.approx([1, 0.5, 0, 0])
    two = np.array([[True, True, False, False]])
    assert compute_diversity(counts[1:2], two).tolist() == pytest.approx([1])
    one = np.array([[True, False, False, False]])
    assert compute_diversity(counts[2:3], one).tolist() == [0]


def test_a_fall_is_measured_in_logarithms_down_to_a_floor():
    found = compute_log_fall(np.array([np.e, 1.0, 1e-9, 1.0]), np.array([1.0, np.e, 1e-12, 0.0]))
    assert found.tolist() == pytest.approx([1, -1, 0, -np.log(1e-6)])


def test_bonuses_are_their_weights_times_what_the_choices_are():
    terms = RewardTerms(concentration=2.0, coverage=3.0, undersampled=5.0)
    recent = np.array([[0, 0, 0, 0, 0], [0, 0, 1, 2, -1], [0, 0, 0, 0, 1]])
    chosen = np.array([0, 1, 1])
    crowded, covered, missing = compute_bonuses(terms, recent, ALL, chosen)
    assert crowded.tolist() == pytest.approx([-1.2, -0.2, -0.8])
    assert covered.tolist() == [3, 9, 6]
    # Of the third, whose entropy is .36 of its maximum, one node has 1/5 where 1/4 is even.
    assert missing.tolist() == pytest.approx([0, 0, 5 * 0.05])
    calm = dataclasses.replace(terms, diversity_threshold=0.3)
    assert compute_bonuses(calm, recent, ALL, chosen)[2].tolist() == [0, 0, 0]
    without = compute_bonuses(RewardTerms(), recent, ALL, chosen)
    assert np.stack(without).tolist() == [[0, 0, 0]] * 3
    mild = dataclasses.replace(terms, concentration_limit=0.5)
    assert compute_bonuses(mild, recent, ALL, chosen)[0].tolist() == pytest.approx([-1, 0, -0.6])


def test_the_terms_come_in_the_order_of_their_names():
    terms = RewardTerms(log_gain=2.0, improvement=3.0, coverage=1.0)
    recent = np.array([[0, 1, -1]])
    before, after = risk([np.e], [5.0]), risk([1.0], [3.0])
    found = compute_rewards(terms, before, after, recent, ALL, np.array([0]))
    assert dict(zip(NAMES, found[0].tolist(), strict=True)) == pytest.approx(
        {
            "log_gain": 2,
            "improvement": 6,
            "concentration": 0,
            "coverage": 2,
            "undersampled": 0,
        }
    )


def test_the_terms_have_the_post_mortems_weights():
    assert RewardTerms() == RewardTerms(1.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.6, 100)
    asked = RewardTerms(postmortem=True)
    assert asked == RewardTerms(0.0, 100.0, 200.0, 0.4, 10.0, 200.0, 0.6, 100, postmortem=True)


def test_a_weight_given_besides_the_post_mortems_stays():
    changed = RewardTerms(postmortem=True, coverage=5.0)
    assert (changed.coverage, changed.improvement, changed.log_gain) == (5.0, 100.0, 0.0)


def test_the_post_mortems_reward_is_one_field_of_a_job():
    job = make_job({"env": "CausalLearning-v0", "env_kwargs": {"reward": {"postmortem": True}}})
    flags = make_job_flags(make_plain(job), "the job")
    again = make_job(flags.read_fields(flags.defaults, {}))
    for found in (job, again, parse_job(dump_job(again), "copy")):
        assert make_params(Params, found.env_kwargs).reward == RewardTerms(postmortem=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"log_gain": -1.0},
        {"concentration_limit": 1.5},
        {"diversity_threshold": -0.1},
        {"window": 0},
        {"window": 10_001},
    ],
    ids=str,
)
def test_weights_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        RewardTerms(**wrong)


def test_fillers_do_not_count_in_the_diversity_terms():
    nothing = Risk(np.zeros((2, 3)), np.ones(2), np.ones(2))
    recent, chosen = np.array([[0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 2, 2]]), np.array([1, 0])
    real = np.ones((1, 3), bool)
    filled = np.pad(real, [(0, 0), (0, 5)])
    alone, among_fillers = (
        compute_rewards(RewardTerms(postmortem=True), nothing, nothing, recent, nodes, chosen)
        for nodes in (real, filled)
    )
    np.testing.assert_array_equal(among_fillers, alone)
    # 5/6 is 0.4333 beyond the limit; two nodes of three; 1/3 - 1/6 below an equal share.
    np.testing.assert_allclose(alone[0], [0, 0, -200 * (5 / 6 - 0.4), 20, 200 / 6])
    # All alike: the entropy is at its maximum, so that no bonus is paid.
    np.testing.assert_allclose(alone[1], [0, 0, 0, 30, 0])
