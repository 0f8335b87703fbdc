# pyright: basic
"""What looks like a fault in a healthy environment is none."""

import healthy_worlds  # noqa: F401 (registers its worlds)
import numpy as np
import pytest
import sick_worlds
from checks import UNTRAINED, check, get_severities


@pytest.mark.parametrize(
    "world",
    ["OldGenerator", "Bytes", "Commands", "Levels", "Rounded", "Dial", "Flag", "Scalar"],
)
def test_an_unusual_interface_is_no_fault(world):
    answer = check(f"Healthy{world}-v0", *UNTRAINED)
    assert "stop" not in get_severities(answer).values()
    assert answer["judged"] == list(UNTRAINED)


def test_rewards_for_the_state_are_found_in_noise_that_no_seed_reaches(monkeypatch):
    monkeypatch.setattr(sick_worlds, "DICE", np.random.default_rng(0))
    answer = check("HealthyStorm-v0", "dependence", share=1)
    assert "stop" not in get_severities(answer).values()
    assert answer["figures"]["dependence"]["fresh_noise"]["starts"] > 16


def test_a_reward_that_chance_never_meets_is_not_denied():
    answer = check("HealthyCombination-v0", "dependence", share=0.5)
    assert get_severities(answer) == {"reward_blind_to_action": "warn"}
    assert answer["findings"][0]["evidence"].startswith("no action that was tried changed")
