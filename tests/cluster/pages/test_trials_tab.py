# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The rows of the table of trials."""

import json

from dashboard_app import read_whole, write
from synthetic_sweep import end, finding, job_row, result, synthetic_rows

from cluster.pages.trials_tab import list_columns, list_trial_rows
from rungwise.run_log.events import TrialRow


def test_a_row_has_a_cell_for_each_column_and_the_best_comes_first(tmp_path):
    view = read_whole(write(tmp_path, synthetic_rows()))
    fields = [column["field"] for column in list_columns(view.job)]
    rows = list_trial_rows(view)
    assert all(set(fields) <= row.keys() for row in rows) and len(rows) == 16
    assert [row["trial"] for row in rows if row["is_best"]] == [rows[0]["trial"]] == ["08"]
    json.dumps(rows, allow_nan=False)


def test_best_and_last_score_state_and_standing_findings(tmp_path):
    rows = [job_row(trials=1, mode="max"), TrialRow(trial="00", config={"lr": 0.5, "clip": "no"})]
    rows += [result("00", at, score) for at, score in ((1, 0.2), (2, 0.9), (3, 0.4))]
    rows += [finding("00"), finding("00", "dead_units"), finding("00", "dead_units", withdrawn=3)]
    rows += [end("00", 3, "asha", "rung 3: 0.4 is below 0.5")]
    (row,) = list_trial_rows(read_whole(write(tmp_path, rows)))
    assert (row["best"], row["last"], row["iterations"]) == (0.9, 0.4, 3)
    assert (row["state"], row["reason"]) == ("stopped by rung", "rung 3: 0.4 is below 0.5")
    assert row["findings"] == "kl runaway"
    assert (row["setting:lr"], row["setting:clip"], row["setting:hidden"]) == (0.5, "no", "-")


def test_a_searched_setting_may_be_called_like_a_column(tmp_path):
    rows = [job_row(trials=1, searched=["state"]), TrialRow(trial="00", config={"state": 3})]
    (row,) = list_trial_rows(read_whole(write(tmp_path, rows)))
    assert (row["state"], row["setting:state"]) == ("waiting", 3)
