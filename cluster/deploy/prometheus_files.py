"""Files for Prometheus and Grafana: a scrape configuration, alert rules, a dashboard.

They are generated from the catalogue of metrics and the health rules, so that they are complete.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rungwise.formatting import format_identifier
from rungwise.health.rules import RULES
from rungwise.metrics import METRICS
from tune_jobs.check import explain
from tune_jobs.trackers.prometheus_gauges import (
    COUNTED,
    FINDING,
    LEVEL,
    PREFIX,
    SCORE,
    list_gauge_metrics,
)

RAY = "ray_" + PREFIX
"""Prefix of the series: Ray adds its own to ours."""
WIDE, HIGH, COLUMNS = 8, 7, 24
"""Width and height of a panel, and the columns of Grafana's grid."""
UNITS = {"fraction": "percentunit", "s": "s", "steps/s": "ops", "count": "none"}
"""Grafana's name of each unit of the catalogue that it knows."""
RUN_ALERTS = {
    "DriverLost": (
        "rungwise_run_driver_alive == 0",
        "{{ $labels.run }}: the process that drives it was lost",
        "`rungwise resume RUN` continues from the last checkpoints; driver.log may say why.",
    ),
    "RunStalled": (
        "time() - rungwise_run_last_event_timestamp_seconds"
        " > 1800 + 10 * rungwise_run_iteration_seconds and rungwise_run_driver_alive == 1",
        "{{ $labels.run }}: no result for half an hour and ten iterations",
        "Look for a trial that hangs, and for resources that the cluster cannot give.",
    ),
    "TrialsPreempted": (
        'increase(rungwise_run_findings{symptom="preempted"}[1h])'
        ' > ignoring (symptom, severity, state) 2 * rungwise_run_trials{state="running"}',
        "{{ $labels.run }}: more than two preemptions of each running trial in an hour",
        "Use nodes that stay longer, or a smaller checkpoint_interval.",
    ),
    "ServerDown": (
        'up{job="rungwise"} == 0',
        "{{ $labels.instance }} does not answer",
        "A service, a dashboard, or the driver of a run with --metrics has ended or was lost.",
    ),
}
"""Alerts about runs, each for a minute: expression, summary, what to do."""
CHOSEN = 'run=~"$run",trial=~"$trial"'
"""Label filter of the series that the dashboard's variables choose."""


def write_monitoring_files(
    directory: Path, ray_files: Path, servers: Sequence[str] = (), token_file: Path = Path()
) -> list[Path]:
    """Write the files.

    ``ray_files`` is the directory of Ray's sessions (``/tmp/ray``); ``servers`` are host and port
    of services, dashboards and drivers, whose token is in ``token_file``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        "prometheus.yaml": yaml.safe_dump(
            make_scrape_config(ray_files, servers, token_file), sort_keys=False
        ),
        "alerts.yaml": yaml.safe_dump(make_alerts(), sort_keys=False, width=100),
        "grafana.json": json.dumps(make_dashboard(), indent=1) + "\n",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    return [directory / name for name in texts]


def make_scrape_config(
    ray_files: Path, servers: Sequence[str] = (), token_file: Path = Path()
) -> dict[str, Any]:
    """Make a configuration of Prometheus for Ray's nodes and our servers, with the alerts."""
    # The file is behind a link, whose change Prometheus does not notice: it must poll.
    nodes = {
        "files": [str(ray_files / "prom_metrics_service_discovery.json")],
        "refresh_interval": "10s",
    }
    ours = {
        "job_name": "rungwise",
        "authorization": {"credentials_file": str(token_file)},
        "static_configs": [{"targets": list(servers)}],
    }
    ray = {"job_name": "ray", "file_sd_configs": [nodes]}
    return {
        "global": {"scrape_interval": "10s", "evaluation_interval": "10s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [ray, *([ours] if servers else [])],
    }


def make_alerts() -> dict[str, Any]:
    """Make one alert per health rule and those about runs; each fires while its state lasts."""
    of_runs = [
        {"alert": name, "expr": expr, "for": "1m", "labels": {"severity": "warn"}}
        | {"annotations": {"summary": summary, "description": description}}
        for name, (expr, summary, description) in RUN_ALERTS.items()
    ]
    groups = {"rungwise": [_alert(symptom) for symptom in RULES], "rungwise_runs": of_runs}
    return {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}


def _alert(symptom: str) -> dict[str, Any]:
    explanation = explain.explain(symptom)
    trial = "{{ $labels.run }}, trial {{ $labels.trial }}"
    series = f'{RAY}{FINDING}{{symptom="{symptom}"}}'
    noted = LEVEL["note"] if RULES[symptom].highest == "note" else LEVEL["warn"]
    return {
        "alert": "".join(word.title() for word in symptom.split("_")),
        "expr": f"max by (run, trial) ({series}) >= {noted}",
        "labels": {"severity": RULES[symptom].highest, "symptom": symptom},
        "annotations": {
            "summary": f"{trial}: {explanation['title']}",
            "description": explanation["remedy"],
        },
    }


def make_dashboard() -> dict[str, Any]:
    """Make Grafana's dashboard: an overview of the runs, then every metric of the catalogue."""
    steps = _panel(
        "Environment steps per second", f"sum by (run) (rate({_counter('env_steps')}[1m]))"
    )
    panels = [
        _panel("Score", _latest(SCORE), "The metric that trials are compared by."),
        _panel("Iterations", f"sum by (run) ({_counter('iterations')})"),
        steps,
        _panel("Trials ended, by reason", f"sum by (run, reason) ({_counter('trials_ended')})"),
        _panel(
            "Findings",
            f"max by (run, trial, symptom) ({RAY}{FINDING}{{{CHOSEN}}})",
            "1 noted, 2 warned of, 3 stopped; 0 once the trial has ended.",
        ),
    ]
    for name, meaning in list_gauge_metrics().items():
        healthy = METRICS[name].healthy
        about = f"{meaning}. Healthy: {healthy}." if healthy else f"{meaning}."
        unit = UNITS.get(METRICS[name].unit, "short")
        panels.append(_panel(format_identifier(name).capitalize(), _latest(name), about, unit))
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS // WIDE)
        panel |= {"id": number + 1}
        panel["gridPos"] = {"x": column * WIDE, "y": row * HIGH, "w": WIDE, "h": HIGH}
    return {
        "uid": "rungwise",
        "title": "Rungwise",
        "tags": ["rungwise"],
        "schemaVersion": 39,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_source(), _variable("run"), _variable("trial")]},
        "panels": panels,
    }


def _latest(name: str) -> str:
    # A restarted worker is a new series of the same trial; max keeps one of them.
    return f"max by (run, trial) ({RAY}{name}{{{CHOSEN}}})"


def _counter(name: str) -> str:
    assert name in COUNTED  # noqa: S101
    return f"{RAY}{name}_total{{{CHOSEN}}}"


def _panel(title: str, expr: str, description: str = "", unit: str = "short") -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": {"type": "prometheus", "uid": "$source"},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {"legend": {"displayMode": "hidden"}, "tooltip": {"mode": "multi"}},
        "targets": [{"refId": "A", "expr": expr, "legendFormat": "__auto"}],
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "type": "datasource", "query": "prometheus"}


def _variable(tag: str) -> dict[str, Any]:
    return {
        "name": tag,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "$source"},
        "query": f"label_values({RAY}{SCORE}, {tag})",
        # 2: whenever the time range changes, so that new runs appear.
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
