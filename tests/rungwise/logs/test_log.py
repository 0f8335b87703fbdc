"""One log: its rows, its budget, and what the rules judge."""

from foreign_logs import write_columns

from rungwise.logs.log import SHORTEST, Log
from rungwise.logs.read_logs import read_logs


def test_rows_are_counted_where_the_log_skips_iterations(tmp_path):
    path = write_columns(
        tmp_path / "a.csv", iteration=list(range(10, 110, 10)), reward=list(range(10))
    )
    log = read_logs(path)[0]
    assert [row["iteration"] for row in log.rows] == list(range(1, 11))
    assert log.history.budget_fraction_used == 1 / 3  # ten rows are too few for a whole run
    later = write_columns(tmp_path / "b.csv", iteration=[11, 12, 13], reward=[1, 2, 3])
    assert [row["iteration"] for row in read_logs(later)[0].rows] == [11, 12, 13]


def test_a_log_of_means_of_100_episodes_is_judged_as_smoothed():
    rows = [{"iteration": i, "return_mean_100": float(i)} for i in (1, 2)]
    smoothed = Log("a", "x", rows, [], score="return_mean_100").history
    assert smoothed.is_smoothed
    assert not Log("a", "x", rows, []).history.is_smoothed


def test_the_budget_is_at_least_what_was_logged():
    rows = [{"iteration": 40, "return_mean": 1.0}]
    assert Log("a", "x", rows, []).history.budget == 40
    assert Log("a", "x", rows[:0], []).history.budget == SHORTEST
    assert Log("a", "x", rows, [], budget=100).history.budget == 100
