# pyright: basic
"""Gauges and counters of a run, set from its event rows."""

from collections import Counter

import pytest
from synthetic_sweep import end, finding, result

from tune_jobs.trackers import prometheus_gauges
from tune_jobs.trackers.prometheus_gauges import MOST, RunGauges


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
