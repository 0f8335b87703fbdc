# pyright: basic
"""A reward that dwarfs all others is named, and a rare prize is not."""

import pytest
import sick_worlds
from checks import check, get_severities


def test_a_rare_huge_reward_is_named_with_its_size():
    answer = check("SickOverflow-v0", "rewards", "headroom", share=1)
    assert get_severities(answer)["rare_reward"] == "warn"
    evidence = next(f["evidence"] for f in answer["findings"] if f["symptom"] == "rare_reward")
    assert "reward of -1e+06" in evidence and "at most 1 in size" in evidence


@pytest.mark.parametrize(
    ("rare", "is_end"),
    [(1e6, True), (-50.0, False), (-900.0, True)],
)
def test_a_prize_at_the_end_and_a_usual_penalty_are_not(monkeypatch, rare, is_end):
    monkeypatch.setattr(sick_worlds.Overflow, "rare", rare)
    monkeypatch.setattr(sick_worlds.Overflow, "is_end", is_end)
    assert "rare_reward" not in get_severities(check("SickOverflow-v0", "rewards", share=1))


@pytest.mark.parametrize("env", ["SickMillions-v0", "SickTargets-v0", "CliffWalking-v1"])
def test_rewards_of_one_size_are_not_rare(env):
    answer = check(env, "rewards", "headroom", share=0.3)
    assert "rare_reward" not in get_severities(answer)
