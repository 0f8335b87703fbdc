# pyright: basic
"""A tiny problem is learnt, an unlearnable one is not."""

import sick_worlds
from checks import check, get_severities


def test_a_tiny_problem_is_learnt_and_an_unlearnable_one_noted(monkeypatch):
    figures = check("SickTargets-v0", "overfit", share=1)["figures"]["overfit"]
    assert figures["standard_errors"] > 3
    assert figures["return_last"] > figures["return_random"]
    # 20 steps of random play, then 180 iterations, as nothing ends them early.
    monkeypatch.setattr(sick_worlds.PaidByTheClock, "length", 2)
    unlearnable = check("SickPaidByTheClock-v0", "overfit", share=1, look_s=0.1)
    assert get_severities(unlearnable) == {"not_learnt_quickly": "note"}
