# pyright: basic
"""The patience: a trial whose score does not improve ends."""

import math

from sessions import get_end

from tune_jobs.run_log.events import ResultRow


def test_a_trial_ends_when_its_patience_is_used_up(report):
    scores = [1.0, 2.0, 3.0, 3.02, 2.9, 3.01, 3.0, 3.0]
    rows = report(scores, patience=4, iterations=100)
    # The best is that of iteration 3: 3.02 is less than 1 % better.
    assert get_end(rows) == (7, "plateau")
    assert rows[-1].sentence == (
        "the score has not improved for 4 iterations: best 3.00 at iteration 3, now 3.00"
    )
    counts = [row.stagnant for row in rows if isinstance(row, ResultRow)]
    assert counts == [0, 0, 0, 1, 2, 3, 4]
    assert get_end(report(scores, patience=5, iterations=100)) == (8, "plateau")
    assert get_end(report(scores, patience=0, iterations=100)) is None
    assert get_end(report(scores, patience=3, min_delta=0.001, iterations=100)) == (7, "plateau")
    assert get_end(report([*scores, 3.5, *[3.5] * 3], patience=6, iterations=100)) is None


def test_missing_scores_do_not_start_the_patience(report):
    scores = [math.nan] * 6 + [1.0, 1.0]
    assert get_end(report(scores, patience=4, iterations=100, health={"not_finite": "off"})) is None
