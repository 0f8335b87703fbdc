# pyright: basic
"""A failed environment: what a trial survives, and what ends it."""

import math

from sessions import make_result, make_session

from tune_jobs.run_log.events import EndRow, FindingRow, ResultRow


def test_a_fault_ends_a_trial_before_any_other_rule(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append, iterations=1, scheduler="none")
    result = make_result("00", 1, math.nan, {}, fault="reset() raised ValueError")
    assert session.stopper("00", result)
    assert [type(row) for row in rows] == [ResultRow, EndRow]
    assert rows[-1].reason == "error"
    assert rows[-1].sentence.startswith("reset() raised ValueError; `rungwise resume ")


def test_a_fault_leaves_the_row_and_the_score_before_it(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append)
    session.stopper("00", make_result("00", 1, 7.0))
    assert session.stopper("00", make_result("00", 1, None, {}, fault="it raised ValueError"))
    assert [type(row) for row in rows] == [ResultRow, EndRow] and rows[0].score == 7.0


def test_each_failure_that_a_trial_survives_is_a_finding(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append)
    session.stopper("00", make_result("00", 1, 7.0) | {"failures": ["gone", "gone again"]})
    found = [row for row in rows if isinstance(row, FindingRow)]
    assert [(row.symptom, row.severity, row.evidence) for row in found] == [
        ("environment_failed", "warn", "gone"),
        ("environment_failed", "warn", "gone again"),
    ]
