"""Rule ``no_updates``: sick and healthy runs, each threshold, warm-up and NaN."""

from health_runs import assert_skips_nan, assert_starts_at, from_row, seen

from tune_jobs.health.rules.training_faults import NoUpdates

RULE = NoUpdates()


def test_a_run_without_one_update_is_found():
    assert seen(RULE, 49, 100, updates=0) == ("warn", 1)
    assert seen(RULE, 50, 100, updates=0) == ("stop", 1)


def test_updates_that_begin_late_are_healthy():
    assert seen(RULE, 30, updates=from_row(25, 1.0, 0.0)) is None


def test_it_waits_for_eight_rows_and_a_fifth_of_the_budget():
    assert_starts_at(RULE, 8, 24, updates=0)
    assert_starts_at(RULE, 20, 100, updates=0)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 30, "updates", 0.0, score=1.0)
