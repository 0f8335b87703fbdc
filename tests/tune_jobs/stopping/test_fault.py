# pyright: basic
"""A failed environment ends a trial."""

import math

from sessions import make_result, make_session

from tune_jobs.run_log.events import EndRow, ResultRow


def test_a_fault_ends_a_trial_before_any_other_rule(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append, iterations=1, scheduler="none")
    result = make_result("00", 1, math.nan, {}, fault="reset() raised ValueError")
    assert session.stopper("00", result)
    assert [type(row) for row in rows] == [ResultRow, EndRow]
    assert (rows[-1].reason, rows[-1].sentence) == ("error", "reset() raised ValueError")
