# pyright: basic
"""A driver whose run never ends, for Prometheus to look at: ``python watched.py FOLDER``."""

import sys
import time

import ray

from tests.tune_jobs.synthetic_sweep import end, result
from tune_jobs.events import FindingRow
from tune_jobs.gauges import Gauges, gauged

if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=True, log_to_driver=False, _temp_dir=sys.argv[1])
    gauges = Gauges("watched", 2)
    found = {"iteration": 1, "severity": "warn", "since": 1, "evidence": "", "remedy": ""}
    gauges.take(FindingRow(trial="00", symptom="kl_runaway", **found))
    gauges.take(FindingRow(trial="01", symptom="kl_runaway", **found))
    gauges.take(end("01", 1, "health"))
    for iteration in range(1, 10**6):
        gauges.take(result("00", iteration, 0.5, metrics=dict.fromkeys(gauged(), 0.25)))
        time.sleep(0.5)
