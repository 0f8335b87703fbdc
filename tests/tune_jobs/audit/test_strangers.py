# pyright: basic
"""Small logs of strangers, one for each kind of defect that was met: read, judged, not ended."""

import pytest
from paths import DATA

from rungwise.judging.doctor import doctor
from tune_jobs.audit.audit import audit
from tune_jobs.audit.replayed_run import JudgingOptions

STRANGERS = DATA / "strangers"
LOGS = [
    # Input, runs, rows of each, score, what warns in the whole log.
    ("d1_garage", 1, 120, "return_mean", ()),
    ("d2_blanks", 1, 120, "return_mean", ()),
    ("d3_epsilon", 1, 120, "return_mean", ("exploration_never_decays", "no_improvement")),
    ("d4_survivors", 1, 600, "return_mean", ()),
    ("d5_ceiling", 1, 500, "return_mean", ()),
    ("d6_npz", 1, 80, "return_mean", ()),
    ("d7_frame.csv", 3, 60, "return_mean", ()),
    ("d8_success", 1, 60, "success_rate", ()),
    ("d9_empty", 1, 120, "return_mean", ()),
    ("d11_stuck.jsonl", 1, 120, "return_mean", ("performance_collapse",)),
    ("d12_unity", 1, 80, "return_mean", ()),
    ("d13_at_its_best", 1, 34, "return_mean", ()),
    ("d14_late_rise", 1, 88, "return_mean", ()),
    ("d15_tasks.csv", 15, 60, "return_mean", ()),
    ("d16_resumed", 1, 300, "return_mean", ()),
    ("d17_prefix.jsonl", 1, 80, "return_mean", ()),
    ("d18_line", 2, 100, "return_mean", ()),
    ("d19_run-PPO_1-tag-rollout_ep_rew_mean.csv", 1, 80, "return_mean", ()),
    ("d19_tb_export.csv", 1, 80, "return_mean", ()),
    ("d20_utf16.csv", 1, 80, "return_mean", ()),
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))


@pytest.mark.parametrize(("place", "runs", "rows", "score", "warned"), LOGS)
def test_a_strangers_log_is_read_and_not_ended(place, runs, rows, score, warned):
    logs = doctor(STRANGERS / place)["logs"]
    assert [log["rows"] for log in logs] == [rows] * runs
    found = {(f["symptom"], f["severity"]) for log in logs for f in log["findings"]}
    assert found == {(symptom, "warn") for symptom in warned}
    audited = audit([STRANGERS / place], JudgingOptions(), workers=1)
    assert not audited.ended and not audited.unread
    assert len(audited.judged) == runs
    assert {run.metric for run in audited.judged} == {score}
    assert all(run.final_score is not None for run in audited.judged)


def test_three_shapes_of_a_json_document_are_three_logs():
    logs = doctor(STRANGERS / "d10_state")["logs"]
    assert {log["name"]: log["rows"] for log in logs} == {
        "columns.json": 100,
        "history.json": 100,
        "training_log.json": 60,
    }
    assert not any(log["findings"] for log in logs)


def test_the_runs_of_a_table_are_grouped_by_their_task():
    audited = audit([STRANGERS / "d15_tasks.csv"], JudgingOptions(), workers=1)
    assert {g.name.split(",")[0]: len(g.runs) for g in audited.groups} == {
        "hop": 5,
        "swing": 5,
        "walk": 5,
    }
