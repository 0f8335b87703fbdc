# pyright: basic
"""The budget ends a trial."""

from sessions import get_end


def test_budget_and_target_end_a_trial(report):
    assert get_end(report([1.0, 2.0, 3.0], iterations=2, grace=1)) == (2, "budget")
    assert get_end(report([1.0, 2.0, 3.0], iterations=9, target=2.5)) == (3, "target")
