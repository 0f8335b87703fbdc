# pyright: basic
"""Baselines that beat random play are named."""

from checks import check, get_severities


def test_a_constant_action_that_beats_random_play_is_named():
    assert "constant_action_beats_random" in get_severities(check("Blackjack-v1", "headroom"))
    figures = check("CausalLearning-v0", "headroom", share=1)["figures"]["headroom"]
    assert figures["best"] == "posterior_variance_design"
