# pyright: basic
"""A tiny problem is learnt, an unlearnable one is not."""

from checks import check, get_severities


def test_a_tiny_problem_is_learnt_and_an_unlearnable_one_noted():
    # It ends as soon as the case is clear, which takes a fraction of a second on a quiet machine.
    figures = check("SickTargets-v0", "overfit", share=0.4)["figures"]["overfit"]
    assert figures["standard_errors"] > 3
    assert figures["return_last"] > figures["return_random"]
    assert get_severities(check("SickPaidByTheClock-v0", "overfit")) == {
        "not_learnt_quickly": "note"
    }
