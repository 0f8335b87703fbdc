# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The sections of the report on the page, and the logs beside them."""

import pytest
from dashboard_app import read_whole, write
from sick_sweep import write_sick_sweep
from synthetic_sweep import job_row, result, synthetic_rows

from cluster.dashboard.run_parts import (
    PART_BUILDERS,
    build_trial_parts,
    dump_trial_settings,
    read_log_texts,
)
from envs.contract.episode_trace import EpisodeTrace, Frame
from rungwise.run_log.events import PROGRAM, CheckpointRow, EvaluationRow, TrialRow
from tune_jobs.jobs.job_yaml import dump_job, make_job
from tune_jobs.programs.process import STDERR, STDOUT
from tune_jobs.programs.trial_program import get_program_folder


def build(tmp_path, rows, name):
    return PART_BUILDERS[name](read_whole(write(tmp_path, rows)))


def test_the_familys_own_picture_is_on_the_page(tmp_path):
    told = EpisodeTrace("What is seen.", ["step"], [Frame("begin", ["0"])], ["X<1>"], [])
    row = EvaluationRow(
        trial="08", checkpoint="", episodes=1, seed=0, policy={}, experiment=told.to_dict()
    )
    rows = [*(r for r in synthetic_rows() if r.kind != "evaluation"), row]
    html = "".join(p for p in build(tmp_path, rows, "result") if isinstance(p, str))
    assert "<svg" in html and "X&lt;1&gt;" in html and "X<1>" not in html


@pytest.mark.parametrize("name", PART_BUILDERS)
def test_a_run_that_has_just_begun_can_be_looked_at(tmp_path, name):
    rows = [job_row(choice_names=[]), TrialRow(trial="00", config={}), result("00", 3, 1.0)]
    assert build(tmp_path, rows, name)


def test_the_settings_say_which_of_them_mattered(tmp_path):
    rows = [job_row(trials=32, searched=["lr", "clip"])]
    for place in range(32):
        config = {"lr": 10 ** (-place / 8), "clip": place * 7 % 32}
        rows += [TrialRow(trial=f"{place:02d}", config=config), result(f"{place:02d}", 3, place)]
    html = "".join(p for p in build(tmp_path, rows, "settings") if isinstance(p, str))
    assert "lr" in html and "mportance" in html


def test_the_page_of_a_trial_lists_the_checkpoints_that_exist(tmp_path):
    rows = [job_row(trials=1), TrialRow(trial="00", config={"lr": 0.5}), result("00", 3, 1.0)]
    rows += [CheckpointRow(trial="00", iteration=at, path=f"trials/{at}") for at in (1, 3)]
    view = read_whole(write(tmp_path, rows))
    (tmp_path / "trials" / "3").mkdir(parents=True)
    html = "".join(build_trial_parts(view.outcome.trials[0], tmp_path))
    assert "trials/3" in html and "trials/1" not in html and "0.5" in html


def test_the_page_of_a_run_hides_the_values_of_environment_variables(tmp_path):
    rows = [job_row(algo=PROGRAM, trials=1), TrialRow(trial="00", config={})]
    rows += [result("00", 1, 0.5)]
    view = read_whole(write(tmp_path, rows))
    job = make_job({"command": "t.py", "environment": {"KEY": "s3cret"}})
    (tmp_path / "job.yaml").write_text(dump_job(job))
    shown = [*PART_BUILDERS["result"](view), dump_trial_settings(tmp_path, {})]
    shown += build_trial_parts(view.outcome.trials[0], tmp_path)
    assert "s3cret" not in str(shown) and str(shown).count("KEY") == 3


def test_settings_that_differ_or_were_searched_come_first(tmp_path):
    trial = read_whole(write_sick_sweep(tmp_path / "sweep")).outcome.trials[1]
    first, rest = "".join(build_trial_parts(trial, tmp_path / "sweep")).split("<details>")
    assert first.count("<tr>") == 3 + first.count("<thead>") and "0.05" in first
    assert ">epochs<" in first and ">epochs<" not in rest and ">gamma<" in rest
    assert build_trial_parts(trial, tmp_path)[0].count("<tr>") == 2  # only what the log has


def test_logs_are_shown_from_their_ends(tmp_path):
    (tmp_path / "driver.log").write_text("x" * 30_000 + "the last line")
    for trial in ("00", "01"):
        folder = get_program_folder(tmp_path, trial)
        folder.mkdir(parents=True)
        (folder / STDOUT).write_text(f"said by {trial}")
        (folder / STDERR).touch()
    texts = read_log_texts(tmp_path)
    assert texts["driver.log"].endswith("the last line") and len(texts["driver.log"]) == 20_000
    own = {"programs/01/stdout.log": "said by 01"}
    assert texts.keys() == {"driver.log", "programs/00/stdout.log", *own}
    assert read_log_texts(tmp_path, "01") == own
