# pyright: basic
"""A driver whose run never ends, for Prometheus to look at: ``python watched.py FOLDER``."""

import sys
import time

import ray
from synthetic_sweep import end, finding, result

from tune_jobs.trackers.prometheus_gauges import RunGauges, list_gauge_metrics

if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=True, log_to_driver=False, _temp_dir=sys.argv[1])
    gauges = RunGauges("watched", 2)
    gauges.show_row(finding("00"))
    gauges.show_row(finding("01"))
    gauges.show_row(end("01", 1, "health"))
    for iteration in range(1, 10**6):
        gauges.show_row(
            result("00", iteration, 0.5, metrics=dict.fromkeys(list_gauge_metrics(), 0.25))
        )
        time.sleep(0.5)
