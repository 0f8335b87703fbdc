# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The tabs of the live page."""

from dashboard_app import read_whole, write
from synthetic_sweep import synthetic_rows

from cluster.dashboard.tab_content import build_tab
from envs.episode_trace import EpisodeTrace, Frame
from tune_jobs.run_log.events import (
    EvaluationRow,
)


def test_the_familys_own_picture_is_on_the_page(tmp_path):
    told = EpisodeTrace("What is seen.", ["step"], [Frame("begin", ["0"])], ["X<1>"], [])
    row = EvaluationRow(
        trial="01", checkpoint="", episodes=1, seed=0, policy={}, experiment=told.to_dict()
    )
    rows = [*(r for r in synthetic_rows() if r.kind != "evaluation"), row]
    parts = build_tab(read_whole(write(tmp_path, rows)), "picture")
    assert "<svg" in parts[0]["html"]
    assert "X&lt;1&gt;" in parts[0]["html"] and "X<1>" not in parts[0]["html"]
