# pyright: basic, reportOptionalMemberAccess=false
"""What Prometheus reads of the runs, over HTTP and from real logs."""

import os
import shutil
import subprocess
import time

import pytest
from dashboard_app import TOKEN, bearer, desk, get, write
from prometheus_client.parser import text_string_to_metric_families
from synthetic_sweep import end, finding, job_row, result, synthetic_rows

from cluster.queue.orders import Order, write_order
from cluster.web.run_index import RunIndex
from cluster.web.run_metrics import GAUGES, RECENT_S, RunMetrics
from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import DecisionRow, JobEndRow, TrialRow
from rungwise.run_log.outcome import Outcome

NOW = time.time()


def scrape(client):
    """The value of each series, by name and labels in the order of their names."""
    status, headers, text = get(client.url, "metrics", **bearer())
    assert status == 200 and headers["content-type"].startswith("text/plain"), text
    if promtool := shutil.which("promtool"):
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True
        )
        assert (checked.returncode, checked.stderr) == (0, "")
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def rows(*more):
    """A run of three trials: one ended, one waits at a rung, and one has not begun."""
    waits = DecisionRow(
        trial="01", iteration=2, rung=2, score=1, cut=0, rank=1, of=2, keep=True, waits=True,
        sentence="it waits", time=NOW - 12,
    )  # fmt: skip
    return [
        job_row(trials=3, iterations=4, metric="score", mode="max", time=NOW - 60),
        TrialRow(trial="00", config={}),
        TrialRow(trial="01", config={}),
        result("00", 4, 7.0, seconds=8.0, env_steps=400, time=NOW - 20),
        result("01", 2, 5.0, seconds=4.0, env_steps=200, time=NOW - 10),
        waits,
        end("00", 4, "budget", time=NOW - 15),
        *more,
    ]


def test_figures_of_a_driven_run_are_those_of_its_log(idle):
    root, client = idle
    run = write(root / "sweep", rows())
    with hold_driver_lock(run):
        found = scrape(client)
    assert found["rungwise_run_driver_alive", "sweep"] == 1
    assert found["rungwise_run_best_score", "sweep"] == 7
    assert found["rungwise_run_iterations", "sweep"] == 6
    assert found["rungwise_run_env_steps", "sweep"] == 600
    assert found["rungwise_run_iteration_seconds", "sweep"] == 2
    last = found["rungwise_run_last_event_timestamp_seconds", "sweep"]
    assert last == pytest.approx(NOW - 10, abs=1e-3)
    trials = {key[2]: value for key, value in found.items() if key[0] == "rungwise_run_trials"}
    assert trials == {"running": 0, "waiting": 2, "budget": 1}
    assert found["rungwise_runs", "running"] == 1
    assert found["rungwise_disk_used_bytes",] >= (run / "events.jsonl").stat().st_size


def test_every_row_of_a_finding_counts_and_no_withdrawal_does(idle):
    root, client = idle
    lost = [finding("01", "preempted", "note")] * 3
    run = write(root / "sweep", rows(*lost, finding("01", "kl_runaway", "stop")))

    def count(symptom, severity):
        found = scrape(client)
        return found["rungwise_run_findings", "sweep", severity, symptom]

    assert (count("preempted", "note"), count("kl_runaway", "stop")) == (3, 1)
    assert count("crashed", "warn") == 0, "a rate needs a first value"
    EventLog(run / "events.jsonl").append(finding("01", "preempted", "note"))
    EventLog(run / "events.jsonl").append(finding("01", "kl_runaway", "stop", withdrawn=9))
    assert (count("preempted", "note"), count("kl_runaway", "stop")) == (4, 1)


def test_a_lost_driver_is_dead_and_an_ended_one_has_no_value(idle):
    root, client = idle
    run = write(root / "sweep", rows())
    with hold_driver_lock(run):
        pass
    assert scrape(client)["rungwise_run_driver_alive", "sweep"] == 0
    EventLog(run / "events.jsonl").append(JobEndRow(reason="done", seconds=1))
    found = scrape(client)
    assert ("rungwise_run_driver_alive", "sweep") not in found
    assert (found["rungwise_runs", "ended"], found["rungwise_run_best_score", "sweep"]) == (1, 7)


def test_old_and_damaged_logs_and_waiting_jobs_leave_the_others_their_figures(idle):
    root, client = idle
    write(root / "sweep", synthetic_rows())
    old = write(root / "old", synthetic_rows())
    os.utime(old / "events.jsonl", (0, NOW - RECENT_S - 60))
    (root / "damaged").mkdir()
    (root / "damaged" / "events.jsonl").write_text('{"kind": "job"\n{}\n')
    (root / "queued").mkdir()
    (root / "queued" / "job.yaml").touch()
    write_order(root / "queued", Order(ordered_at=NOW))
    found = scrape(client)
    best = Outcome.from_rows(synthetic_rows()).best_score
    assert found["rungwise_run_best_score", "sweep"] == pytest.approx(best)
    assert {key[1] for key in found if key[0] == "rungwise_run_iterations"} == {"sweep"}
    assert found["rungwise_runs", "queued"] == 1
    assert sum(value for key, value in found.items() if key[0] == "rungwise_runs") == 4


def test_a_deleted_run_leaves_no_series(idle):
    root, client = idle
    shutil.rmtree(write(root / "gone", rows()))
    write(root / "stays", rows())
    assert {key[1] for key in scrape(client) if key[0].startswith("rungwise_run_")} == {"stays"}


def test_metrics_need_the_token_and_a_dashboard_has_no_disk_of_a_queue(tmp_path):
    run = write(tmp_path / "sweep", rows())
    with desk(run, None) as (url, client):
        assert get(url, "metrics")[0] == 401
        assert get(url, "metrics", Authorization=f"Bearer {TOKEN}x")[0] == 401
        found = scrape(client)
    others = {"disk_used_bytes", "run_driver_alive"}
    assert {key[0].removeprefix("rungwise_") for key in found} | others == set(GAUGES)
    assert ("rungwise_disk_used_bytes",) not in found


def test_a_view_is_kept_while_its_run_is_recent_only(tmp_path):
    import asyncio

    run = write(tmp_path / "sweep", rows())
    metrics = RunMetrics(RunIndex(tmp_path), None)
    asyncio.run(metrics.respond())
    assert [directory.name for directory in metrics._views] == ["sweep"]
    os.utime(run / "events.jsonl", (0, NOW - RECENT_S - 60))
    asyncio.run(metrics.respond())
    assert not metrics._views
