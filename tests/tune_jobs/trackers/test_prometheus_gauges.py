# pyright: basic, reportOptionalMemberAccess=false
"""Gauges and counters of a run, set from its event rows."""

import sys
from collections import Counter

import pytest
import ray
from synthetic_sweep import end, finding, job_row, result

from rungwise.run_log.event_log import EventLog
from tune_jobs.session import program_session
from tune_jobs.trackers import prometheus_gauges
from tune_jobs.trackers.prometheus_gauges import MOST, RunGauges, name_run


@pytest.fixture
def shown(monkeypatch):
    """Values by metric, trial and what else is tagged; stands in for Ray's exporter."""
    values = Counter()

    class Exported:
        def __init__(self, name, *_):
            self.name = name.removeprefix("rungwise_")

        def _key(self, tags):
            return (self.name, *(value for tag, value in tags.items() if tag != "run" and value))

        def set(self, value, tags):
            values[self._key(tags)] = value

        def inc(self, value, tags):
            values[self._key(tags)] += value

    monkeypatch.setattr(prometheus_gauges, "Gauge", Exported)
    monkeypatch.setattr(prometheus_gauges, "Counter", Exported)
    return values


def test_a_result_sets_its_metrics_and_adds_its_work(shown):
    gauges = RunGauges("r", 1)
    gauges.show_row(result("00", 2, 0.5, env_steps=20, metrics={"kl": 0.1, "mine": 1.0}))
    gauges.show_row(result("00", 3, None, env_steps=30, metrics={"kl": float("nan")}))
    assert shown == {
        ("score", "00"): 0.5,
        ("kl", "00"): 0.1,
        ("iterations", "00"): 3,
        ("env_steps", "00"): 30,
    }


def test_iterations_that_are_repeated_count_again(shown):
    gauges = RunGauges("r", 1)
    for iteration in (1, 2, 3, 2, 3):
        gauges.show_row(result("00", iteration, 0.5, env_steps=10 * iteration))
    assert shown["iterations", "00"] == 4
    assert shown["env_steps", "00"] == 40


def test_a_finding_is_shown_until_withdrawal_or_the_trials_end(shown):
    gauges = RunGauges("r", 2)
    for trial, severity in (("00", "warn"), ("01", "stop")):
        gauges.show_row(finding(trial, severity=severity))
    assert shown["finding", "00", "kl_runaway"] == 2
    assert shown["finding", "01", "kl_runaway"] == 3
    gauges.show_row(finding("00", withdrawn=12))
    gauges.show_row(end("01", 1, "health"))
    assert shown["finding", "00", "kl_runaway"] == shown["finding", "01", "kl_runaway"] == 0
    assert shown["trials_ended", "01", "health"] == 1


def test_a_finding_is_shown_at_its_highest_open_severity(shown):
    gauges, levels = RunGauges("r", 1), []
    for severity, withdrawn in (("warn", 0), ("note", 0), ("note", 12), ("warn", 13)):
        gauges.show_row(finding("00", severity=severity, withdrawn=withdrawn))
        levels.append(shown["finding", "00", "kl_runaway"])
    assert levels == [2, 2, 2, 0]


def test_large_sweeps_export_scores_alone(shown):
    RunGauges("r", MOST + 1).show_row(result("00", 1, 0.5, metrics={"kl": 0.1}))
    assert ("score", "00") in shown and ("kl", "00") not in shown


def test_runs_of_one_name_have_series_of_their_own(tmp_path):
    names = set()
    for project, run_id in (("a", "1234"), ("b", "5678"), ("c", "")):
        (run := tmp_path / project / "run").mkdir(parents=True)
        EventLog(run / "events.jsonl").append(job_row(id=run_id))
        names.add(name_run(run))
    assert names == {"run-1234", "run-5678", "run"}


def test_a_session_exports_its_run_by_name_and_id(tmp_path, monkeypatch, shown):
    monkeypatch.setitem(sys.modules, "ray", ray)
    (run := tmp_path / "run").mkdir()
    EventLog(run / "events.jsonl").append(job_row(id="1234"))
    assert program_session._make_gauges(run).run == "run-1234"
