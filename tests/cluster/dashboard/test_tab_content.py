# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The tabs of the live page."""

from dashboard_app import read_whole, write
from synthetic_sweep import job_row, result, synthetic_rows

from cluster.dashboard.views import build_tab
from envs.episode_trace import EpisodeTrace, Frame
from tune_jobs.run_log.events import EvaluationRow, TrialRow


def test_the_familys_own_picture_is_on_the_page(tmp_path):
    told = EpisodeTrace("What is seen.", ["step"], [Frame("begin", ["0"])], ["X<1>"], [])
    row = EvaluationRow(
        trial="01", checkpoint="", episodes=1, seed=0, policy={}, experiment=told.to_dict()
    )
    rows = [*(r for r in synthetic_rows() if r.kind != "evaluation"), row]
    parts = build_tab(read_whole(write(tmp_path, rows)), "picture")
    assert "<svg" in parts[0]["html"]
    assert "X&lt;1&gt;" in parts[0]["html"] and "X<1>" not in parts[0]["html"]


def test_an_environment_without_a_picture_is_named_as_one(tmp_path):
    rows = [job_row(choice_names=[]), TrialRow(trial="00", config={}), result("00", 3, 1.0)]
    (part,) = build_tab(read_whole(write(tmp_path, rows)), "picture")
    assert "shows no episodes" in part["html"]


def test_the_comparison_says_which_settings_mattered(tmp_path):
    rows = [job_row(trials=32, searched=["lr", "clip"])]
    for place in range(32):
        config = {"lr": 10 ** (-place / 8), "clip": place * 7 % 32}
        rows += [TrialRow(trial=f"{place:02d}", config=config), result(f"{place:02d}", 3, place)]
    parts = build_tab(read_whole(write(tmp_path, rows)), "comparison")
    assert any("Importance of settings: lr " in part.get("html", "") for part in parts)
