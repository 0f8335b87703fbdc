# pyright: basic
"""The command that writes the files for Prometheus."""

import json
from pathlib import Path

from command_line import answer, call

from cluster.deploy.prometheus_files import (
    make_dashboard,
)


def test_the_command_writes_the_files(tmp_path):
    told = answer(call("monitoring", "--json", cwd=tmp_path))
    assert [Path(file).name for file in told["files"]] == [
        "prometheus.yaml",
        "alerts.yaml",
        "grafana.json",
    ]
    assert json.loads((tmp_path / "monitoring" / "grafana.json").read_text()) == make_dashboard()
