# pyright: basic, reportArgumentType=false
"""The progress of an evaluation, in words."""

from rungwise.run_log.evaluation_status import (
    EvaluationStatus,
    caution_of_few,
    describe_cut_off,
    format_episode_count,
    list_remarks,
)
from rungwise.run_log.events import EvaluationRow


def test_the_count_of_episodes_comes_with_its_reason():
    row = {"trial": "00", "checkpoint": "c", "seed": 0, "policy": {}, "most": 256}
    words = format_episode_count(EvaluationRow(episodes=40, **row), "episode")
    assert words == "40 episodes (--episodes 256 for more)"
    assert format_episode_count(EvaluationRow(episodes=256, **row), "episode") == "256 episodes"


def test_episodes_without_an_end_are_counted_by_player():
    assert describe_cut_off({}) == ""
    said = describe_cut_off({"greedy": 2, "random": 1})
    assert "2 of most likely action, 1 of random" in said and "greedy=False" in said
    assert "greedy=False" not in describe_cut_off({"greedy": 2, "policy": 1})


def test_progress_names_player_episodes_and_steps():
    status = EvaluationStatus("03", "policy", 64, 256)
    assert str(status) == "evaluating: policy 64 of 256 episodes"
    status = EvaluationStatus("03", "policy", 64, 256, 1500)
    assert str(status) == "evaluating: policy 64 of 256 episodes, step 1,500 of the next"


def test_a_comparison_of_few_episodes_says_so():
    assert caution_of_few(8) == ""
    assert caution_of_few(2).startswith("2 episodes of each are too few to compare by")


def test_a_policy_that_makes_no_difference_is_named():
    same, other = {"return_mean": -95.6, "return_std": 46.5}, {"return_mean": -95.5}
    (said,) = list_remarks(same, {"greedy": same, "random": same}, 10, {}, 0.0, 0.0)
    assert "make no difference" in said
    # Binary returns may have one mean by chance, and a rare reward may never be found.
    assert list_remarks(same, {"greedy": same, "random": same}, 10, {}, 0.3, 0.0) == []
    never = {"return_mean": 0.0, "return_std": 0.0}
    assert list_remarks(never, {"greedy": never, "random": never}, 10, {}, 0.0, 0.0) == []
    assert list_remarks(same, {"greedy": same, "random": other}, 10, {}, 0.0, 0.0) == []
    assert list_remarks({}, {}, 10, {}, None, None) == []
