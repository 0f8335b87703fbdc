# pyright: basic, reportOptionalSubscript=false, reportArgumentType=false, reportOperatorIssue=false
"""The rows of the list of runs."""

import asyncio
import json

from dashboard_app import write
from synthetic_sweep import job_row, synthetic_rows

from cluster.pages.overview import RunRows
from cluster.web.run_index import RunIndex
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import JobEndRow
from tune_jobs.jobs.job_yaml import list_changes, make_job


def test_figures_follow_the_list_and_are_read_again_when_a_log_grows(tmp_path):
    runs = [write(tmp_path / name, synthetic_rows()) for name in ("a", "b")]
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "job.yaml").write_text("env: CartPole-v1\n")
    rows = RunRows(RunIndex(tmp_path))
    places = [*runs, tmp_path / "prepared"]
    listed = rows.list_rows(places)
    assert [row["run"] for row in listed] == ["a", "b", "prepared"]
    assert listed[0]["algorithm"] == "ppo" and "best" not in listed[0]
    read = []
    while (row := asyncio.run(rows.read_next())) is not None:
        read.append(row["run"])
    assert read == ["a", "b", "prepared"]
    first = rows.list_rows(places)[0]
    assert 0 < first["best"] < 0.1 and 0 < first["saved"] < 1 and first["bytes"] > 1000
    assert first["findings"] and len(first["curve"]) > 5 and asyncio.run(rows.read_next()) is None
    EventLog(runs[1] / "events.jsonl").append(JobEndRow(reason="done", seconds=9.0))
    rows.list_rows(places)
    assert asyncio.run(rows.read_next())["run"] == "b" and asyncio.run(rows.read_next()) is None
    json.dumps(rows.list_rows(places), allow_nan=False)


def test_the_tags_of_a_job_are_in_its_row_before_its_log_is_read(tmp_path):
    sweep = make_job({"env": "CartPole-v1", "tags": "baseline, wide"})
    run = write(tmp_path / "a", [job_row(changes=list_changes(sweep))])
    assert RunRows(RunIndex(tmp_path)).list_rows([run])[0]["tags"] == "baseline, wide"


def test_a_damaged_log_is_a_row_without_figures(tmp_path):
    write(tmp_path / "a", []).joinpath("events.jsonl").write_text("{\n")
    rows = RunRows(RunIndex(tmp_path))
    rows.list_rows([tmp_path / "a"])
    assert "best" not in asyncio.run(rows.read_next())


def test_a_log_that_cannot_be_summarised_does_not_stop_the_others(tmp_path):
    bad = write(tmp_path / "a", [job_row(iterations=None)])
    runs = [bad, write(tmp_path / "b", synthetic_rows())]
    rows = RunRows(RunIndex(tmp_path))
    rows.list_rows(runs)
    first, second = (asyncio.run(rows.read_next()) for _ in runs)
    assert "best" not in first and first["bytes"] and second["best"]
    rows.list_rows(runs)
    assert asyncio.run(rows.read_next()) is None


def test_the_list_shares_the_reading_of_a_page_and_keeps_only_what_grows(tmp_path):
    run = write(tmp_path / "a", [row for row in synthetic_rows() if row.kind != "job_end"])
    runs = RunIndex(tmp_path)
    rows = RunRows(runs)

    def list_again():
        rows.list_rows([run])
        assert asyncio.run(rows.read_next())["best"]
        return asyncio.run(runs.open_view(run).query(lambda view: view.read_to))

    log = run / "events.jsonl"
    assert list_again() == log.stat().st_size
    EventLog(log).append(JobEndRow(reason="done", seconds=9.0))
    assert list_again() == 0  # it has ended: nothing is held of it
    seen = runs.find_view("a")  # a page looks at it
    EventLog(log).append(JobEndRow(reason="done", seconds=9.0))
    assert list_again() == log.stat().st_size and runs.find_view("a") is seen
