# pyright: basic
"""Metrics for Prometheus and Grafana: every rule can fire, and every panel shows something."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from paths import ROOT, SUPPORT
from waiting import find_free_port

from cluster.deploy.prometheus_files import (
    RAY,
    make_alerts,
    make_dashboard,
    make_scrape_config,
    write_monitoring_files,
)
from cluster.web.auth import get_token_path
from rungwise.health.rules import RULES
from rungwise.metrics import METRICS
from tune_jobs.trackers.prometheus_gauges import FINDING, LEVEL, list_gauge_metrics

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="no Prometheus on this machine (apt-get install prometheus)",
)


def list_expressions():
    return [target["expr"] for panel in make_dashboard()["panels"] for target in panel["targets"]]


def promtool(*words, cwd):
    done = subprocess.run(["promtool", *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_has_a_panel_and_every_rule_an_alert():
    shown = " ".join(list_expressions())
    assert [name for name in list_gauge_metrics() if f"{RAY}{name}{{" not in shown] == []
    assert set(METRICS) - set(list_gauge_metrics()) == {
        "env_steps",
        "choice_fractions",
        "nonfinite_where",
        "runners_lost_why",
    }
    group, of_runs = make_alerts()["groups"]
    assert [rule["labels"]["symptom"] for rule in group["rules"]] == list(RULES)
    for rule in [*group["rules"], *of_runs["rules"]]:
        assert rule["annotations"]["description"] and rule["labels"]["severity"] in LEVEL


def test_no_panel_lies_on_another():
    places = [panel["gridPos"] for panel in make_dashboard()["panels"]]
    assert len({(p["x"], p["y"]) for p in places}) == len(places)
    assert all(p["x"] + p["w"] <= 24 for p in places)
    assert len({panel["id"] for panel in make_dashboard()["panels"]}) == len(places)


@needs_prometheus
def test_promtool_accepts_the_configuration_and_every_expression(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".rungwise").mkdir()
    get_token_path().write_text("a-token-that-prometheus-sends")
    write_monitoring_files(tmp_path, Path("/tmp/ray"), ["127.0.0.1:8470"], get_token_path())
    promtool("check", "config", "prometheus.yaml", cwd=tmp_path)
    named = [
        {"record": f"e{place}", "expr": chosen(expr)}
        for place, expr in enumerate(list_expressions())
    ]
    rules = {"groups": [{"name": "dashboard", "rules": named}]}
    (tmp_path / "expressions.yaml").write_text(yaml.safe_dump(rules))
    promtool("check", "rules", "expressions.yaml", cwd=tmp_path)


@needs_prometheus
def test_alerts_fire_on_their_symptom_until_the_trial_ends(tmp_path):
    write_monitoring_files(tmp_path, Path("/tmp/ray"))
    group, of_runs = make_alerts()["groups"]
    tests = [case(rule) for rule in group["rules"]]
    tests += [run_case(rule, *RUN_CASES[rule["alert"]]) for rule in of_runs["rules"]]
    (tmp_path / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["alerts.yaml"], "tests": tests})
    )
    promtool("test", "rules", "test.yaml", cwd=tmp_path)


def case(rule):
    """Nothing at first, then the symptom for two minutes, then the trial has ended."""
    symptom = rule["labels"]["symptom"]
    tags = {"run": "r", "trial": "07", "WorkerId": "w"}
    series = ",".join(f'{name}="{value}"' for name, value in tags.items())
    level = LEVEL[RULES[symptom].highest]
    values = f"_ {level} {level} 0"
    labels = {"run": "r", "trial": "07"} | rule["labels"]
    said = {
        name: text.replace("{{ $labels.run }}", "r").replace("{{ $labels.trial }}", "07")
        for name, text in rule["annotations"].items()
    }
    fired = [{"exp_labels": labels, "exp_annotations": said}]
    return {
        "interval": "1m",
        "input_series": [
            {"series": f'{RAY}{FINDING}{{symptom="{symptom}",{series}}}', "values": values}
        ],
        "alert_rule_test": [
            {"eval_time": time, "alertname": rule["alert"], "exp_alerts": fired if fires else []}
            for time, fires in (("0m", False), ("1m", True), ("2m", True), ("3m", False))
        ],
    }


RUN_CASES = {
    # Series, the first minute at which the alert fires, and the first at which it does not.
    "DriverLost": ({'rungwise_run_driver_alive{run="r"}': "1 1 1 1 1 0 0 0 0 0 1 1"}, 6, 10),
    "RunStalled": (
        {
            'rungwise_run_driver_alive{run="r"}': "1x80",
            # Ten iterations take ten minutes: 40 minutes after the row of minute 4, and a minute.
            'rungwise_run_iteration_seconds{run="r"}': "60x80",
            'rungwise_run_last_event_timestamp_seconds{run="r"}': "240x50 3060x30",
        },
        46,
        51,
    ),
    "TrialsPreempted": (
        {
            'rungwise_run_trials{run="r",state="running"}': "2x80",
            'rungwise_run_trials{run="r",state="waiting"}': "0x80",
            # Two of each trial an hour are endured, a fifth is not.
            'rungwise_run_findings{run="r",symptom="preempted",severity="note"}': (
                "0x10 4x10 6x90"
            ),
        },
        23,
        72,
    ),
    "ServerDown": ({'up{job="rungwise",instance="h:1"}': "1 1 1 1 1 0 0 0 0 0 1 1"}, 6, 10),
}


def run_case(rule, series, begins, ends):
    """The alert is silent before a minute, fires until shortly before another, then not."""
    labels = {"job": "rungwise", "instance": "h:1"} if "up" in next(iter(series)) else {"run": "r"}
    said = {
        name: text.replace("{{ $labels.run }}", "r").replace("{{ $labels.instance }}", "h:1")
        for name, text in rule["annotations"].items()
    }
    fired = [{"exp_labels": labels | rule["labels"], "exp_annotations": said}]
    times = {begins - 1: [], begins: fired, ends - 3: fired, ends: []}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": rule["alert"], "exp_alerts": alerts}
            for minute, alerts in times.items()
        ],
    }


def chosen(expr):
    """An expression with the dashboard's variables filled in, as Grafana does."""
    return expr.replace("$run", "watched").replace("$trial", ".*")


@pytest.fixture
def prometheus(tmp_path):
    """A Prometheus that scrapes a Ray on which a run reports; asks it an expression."""
    ray_files = Path(tempfile.mkdtemp(prefix="rw-"))  # Ray's sockets need a short path
    config = make_scrape_config(ray_files)
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    write_monitoring_files(tmp_path, ray_files)
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{find_free_port()}"
    driver = [sys.executable, str(SUPPORT / "watched.py"), str(ray_files)]
    server = ["prometheus", f"--config.file={tmp_path}/prometheus.yaml"]
    server += [f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address={address}"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def ask(expr):
        with urlopen(f"http://{address}/api/v1/query?{urlencode({'query': expr})}") as told:
            return json.load(told)["data"]["result"]

    environment = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    processes = [
        subprocess.Popen(driver, cwd=ROOT, env=os.environ | environment, **quiet),
        subprocess.Popen(server, **quiet),
    ]
    try:
        yield ask
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
        shutil.rmtree(ray_files, ignore_errors=True)


@pytest.mark.slow
@needs_prometheus
def test_prometheus_fills_every_panel_and_fires_the_alert(prometheus):
    left, until = {chosen(expr) for expr in list_expressions()}, time.monotonic() + 200
    while left and time.monotonic() < until:
        time.sleep(1)
        try:
            left = {expr for expr in left if not prometheus(expr)}
        except OSError:
            continue  # it has not begun to listen
    assert left == set()
    firing = 'ALERTS{alertname="KlRunaway", alertstate="firing", run="watched"}'
    while not (alert := prometheus(firing)) and time.monotonic() < until:
        time.sleep(1)
    assert [series["metric"]["trial"] for series in alert] == ["00"]
