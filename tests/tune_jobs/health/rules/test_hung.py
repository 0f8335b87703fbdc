"""Rule ``hung``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

from health_runs import Metrics, from_row, make_rows, seen, severity

from tune_jobs.health import History
from tune_jobs.health.rules.training_faults import Hung

RULE = Hung()


def test_a_lost_worker_is_warned_about():
    lost: Metrics = {"runners_lost": lambda i: float(i == 9)}
    assert seen(RULE, 9, **lost) == ("warn", 9)
    assert seen(RULE, 10, **lost) is None


def test_losing_one_in_every_iteration_asks_for_a_stop():
    assert seen(RULE, 12, runners_lost=from_row(8, 1.0, 0.0)) == ("stop", 8)


def test_five_losses_in_a_row_ask_for_a_stop():
    assert severity(RULE, 12, runners_lost=from_row(9, 1.0, 0.0)) == "warn"
    assert severity(RULE, 12, runners_lost=from_row(8, 1.0, 0.0)) == "stop"


def test_rows_without_the_count_are_rows_without_workers():
    assert severity(RULE, 12, runners_lost=math.nan) is None


def test_the_newest_loss_is_the_one_described():
    rows = make_rows(12, runners_lost=1.0)
    for row in rows:
        row["runners_lost_why"] = f"reason {row['iteration']}"
    finding = RULE(History(rows, 12))
    assert finding and finding.evidence.endswith(": reason 12")
