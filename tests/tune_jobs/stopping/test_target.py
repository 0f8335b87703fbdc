# pyright: basic
"""The target ends a trial, before its budget does."""

from sessions import get_end


def test_the_target_comes_before_the_budget(report):
    assert get_end(report([1.0, 3.0], iterations=2, grace=1, target=2.5)) == (2, "target")
