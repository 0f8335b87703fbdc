# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The sections of the page of a trial."""

from dashboard_app import read_whole, write
from sick_sweep import write_sick_sweep
from synthetic_sweep import job_row, result

from cluster.pages.trial_page import build_trial_parts
from rungwise.run_log.events import CheckpointRow, TrialRow


def test_the_page_of_a_trial_lists_the_checkpoints_that_exist(tmp_path):
    rows = [job_row(trials=1), TrialRow(trial="00", config={"lr": 0.5}), result("00", 3, 1.0)]
    rows += [CheckpointRow(trial="00", iteration=at, path=f"trials/{at}") for at in (1, 3)]
    view = read_whole(write(tmp_path, rows))
    (tmp_path / "trials" / "3").mkdir(parents=True)
    html = "".join(build_trial_parts(view.outcome.trials[0], tmp_path))
    assert "trials/3" in html and "trials/1" not in html and "0.5" in html


def test_settings_that_differ_or_were_searched_come_first(tmp_path):
    trial = read_whole(write_sick_sweep(tmp_path / "sweep")).outcome.trials[1]
    first, rest = "".join(build_trial_parts(trial, tmp_path / "sweep")).split("<details>")
    assert first.count("<tr>") == 3 + first.count("<thead>") and "0.05" in first
    assert ">epochs<" in first and ">epochs<" not in rest and ">gamma<" in rest
    assert build_trial_parts(trial, tmp_path)[0].count("<tr>") == 2  # only what the log has
