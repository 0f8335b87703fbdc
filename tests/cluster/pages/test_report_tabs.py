# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The tabs that show sections of the report: settings, result and ledger."""

from typing import Any

import pytest
from dashboard_app import read_whole, write
from synthetic_sweep import job_row, result, synthetic_rows

from cluster.pages.ledger_tab import build_ledger
from cluster.pages.result_tab import build_result
from cluster.pages.settings_tab import build_settings
from cluster.pages.trial_page import build_trial_parts
from envs.contract.episode_trace import EpisodeTrace, Frame
from rungwise.run_log.events import PROGRAM, EvaluationRow, TrialRow
from tune_jobs.jobs.job_yaml import dump_job, make_job


def build_from(tmp_path, rows, build) -> list[Any]:
    built = build(read_whole(write(tmp_path, rows)))
    return built[0] if build is build_result else built


def test_the_familys_own_picture_is_on_the_page(tmp_path):
    told = EpisodeTrace("What is seen.", ["step"], [Frame("begin", ["0"])], ["X<1>"], [])
    row = EvaluationRow(
        trial="08", checkpoint="", episodes=1, seed=0, policy={}, experiment=told.to_dict()
    )
    rows = [*(r for r in synthetic_rows() if r.kind != "evaluation"), row]
    html = "".join(p for p in build_from(tmp_path, rows, build_result) if isinstance(p, str))
    assert "<svg" in html and "X&lt;1&gt;" in html and "X<1>" not in html


@pytest.mark.parametrize("build", [build_settings, build_result, build_ledger])
def test_a_run_that_has_just_begun_can_be_looked_at(tmp_path, build):
    rows = [job_row(choice_names=[]), TrialRow(trial="00", config={}), result("00", 3, 1.0)]
    assert build_from(tmp_path, rows, build)


def test_the_settings_say_which_of_them_mattered(tmp_path):
    rows = [job_row(trials=32, searched=["lr", "clip"])]
    for place in range(32):
        config = {"lr": 10 ** (-place / 8), "clip": place * 7 % 32}
        rows += [TrialRow(trial=f"{place:02d}", config=config), result(f"{place:02d}", 3, place)]
    html = "".join(p for p in build_from(tmp_path, rows, build_settings) if isinstance(p, str))
    assert "lr" in html and "mportance" in html


def test_the_page_of_a_run_hides_the_values_of_environment_variables(tmp_path):
    rows = [job_row(algo=PROGRAM, trials=1), TrialRow(trial="00", config={})]
    rows += [result("00", 1, 0.5)]
    view = read_whole(write(tmp_path, rows))
    job = make_job({"command": "t.py", "environment": {"KEY": "s3cret"}})
    (tmp_path / "job.yaml").write_text(dump_job(job))
    shown = [*build_result(view)]
    shown += build_trial_parts(view.outcome.trials[0], tmp_path)
    assert "s3cret" not in str(shown) and str(shown).count("KEY") == 3
