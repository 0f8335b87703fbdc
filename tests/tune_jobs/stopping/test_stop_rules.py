# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""Each stop rule ends a trial with its reason, and the more serious one comes first."""

import math
from types import SimpleNamespace

import pytest
from sessions import get_end, make_result, make_session

from rungwise.health import Finding
from rungwise.run_log.events import EndRow, FindingRow, ResultRow
from rungwise.run_log.stop_requests import list_stop_requests, request_stop
from tune_jobs.stopping.stop_rules import stop_unhealthy_trial

WARNING = Finding("dead_units", "warn", 2, "half of them")
STOP = Finding("not_finite", "stop", 3, "3 losses")
FLAT = [1.0, 2.0, 3.0, 3.02, 2.9, 3.01, 3.0, 3.0]
UNDECIDED = [math.nan] * 6 + [1.0, 1.0]


@pytest.mark.parametrize(
    ("scores", "fields", "end"),
    [
        ([1.0, 2.0, 3.0], {"iterations": 2, "grace": 1}, (2, "budget")),
        ([1.0, 2.0, 3.0], {"iterations": 9, "target": 2.5}, (3, "target")),
        ([1.0, 3.0], {"iterations": 2, "grace": 1, "target": 2.5}, (2, "target")),
        (FLAT, {"patience": 5}, (8, "plateau")),
        (FLAT, {"patience": 0}, None),
        (FLAT, {"patience": 3, "min_delta": 0.001}, (7, "plateau")),
        ([*FLAT, 3.5, *[3.5] * 3], {"patience": 6}, None),
        (UNDECIDED, {"patience": 4, "health": {"not_finite": "off"}}, None),
    ],
)
def test_a_trial_ends_by_its_budget_target_or_patience(report, scores, fields, end):
    assert get_end(report(scores, **{"iterations": 100} | fields)) == end


def test_random_steps_before_the_first_update_are_no_plateau(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append, patience=3, iterations=100)
    for i in range(1, 13):
        metrics = {"return_mean": 1.0, "env_steps": 100.0 * i, "warm_up_steps": 800.0}
        if session.stopper("00", make_result("00", i, 1.0, metrics)):
            break
    assert get_end(rows) == (12, "plateau")


def test_the_end_at_a_plateau_says_what_was_seen(report):
    rows = report(FLAT, patience=4, iterations=100)
    # The best is that of iteration 3: 3.02 is less than 1 % better.
    assert get_end(rows) == (7, "plateau")
    assert rows[-1].sentence == (
        "the score has not improved for 4 iterations: best 3.00 at iteration 3, now 3.00"
    )
    counts = [row.stagnant for row in rows if isinstance(row, ResultRow)]
    assert counts == [0, 0, 0, 1, 2, 3, 4]


def test_a_stop_request_ends_a_trial_and_is_cleared(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append)
    request_stop(tmp_path, "00")
    assert not session.stopper("01", make_result("01", 1, 1.0))
    assert session.stopper("00", make_result("00", 1, 1.0))
    assert get_end(rows) == (1, "stopped") and not list_stop_requests(tmp_path)


@pytest.mark.parametrize(
    ("findings", "comparison", "sentence"),
    [
        ([], "", None),
        ([WARNING], "", None),
        ([WARNING, STOP], "", "not_finite: 3 losses"),
        ([STOP], "all 3 trials", "not_finite: 3 losses; all 3 trials"),
    ],
)
def test_a_finding_ends_a_trial_only_if_it_is_a_stop(findings, comparison, sentence):
    seen = SimpleNamespace(findings=findings, compare_with_siblings=lambda _: comparison)
    verdict = stop_unhealthy_trial(seen)
    assert (verdict and (verdict.reason, verdict.sentence)) == (sentence and ("health", sentence))


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
