# pyright: basic
"""Private parts of Ray: what they save, and that an unknown Ray does without."""

import os
import subprocess
import sys

import pytest
from paths import ROOT
from ray.air._internal import usage
from ray.tune.execution import class_cache

from tune_jobs import ray_internals
from tune_jobs.ray_internals import are_known, complete_launcher, start_trials_quickly

START = """
import os, psutil, ray, sys
from ray._private.node import Node
from tune_jobs import ray_internals
from tune_jobs.ray_session import ray_session
ray_internals.TESTED = sys.argv[1:]
before = Node.start_monitor
with ray_session(cpus=1):
    words = str([" ".join(p.cmdline()) for p in psutil.Process().children()])
    print(*(word in words for word in ("raylet", "monitor.py", "dashboard.py")))
    read = ray.remote(lambda: os.environ.get("RAY_CHDIR_TO_TRIAL_DIR"))
    print(ray.get(read.remote()), Node.start_monitor is before, "PL_DISABLE_FORK" in os.environ)
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("tested", "printed"),
    [("2", "True False False 0 True False"), ("1", "True True True None True False")],
)
def test_start_less_only_on_tested_versions(tested, printed):
    # Another test may have set what a Ray that is started here would inherit.
    own = {name: text for name, text in os.environ.items() if name not in ray_internals.INHERITED}
    words = [sys.executable, "-c", START, tested]
    done = subprocess.run(words, env=own, capture_output=True, text=True)
    assert done.stdout.split() == printed.split(), done.stderr[-2000:]


def test_versions_in_range_are_known():
    ranges = (ROOT / "pyproject.toml").read_text()
    assert f">={ray_internals.TESTED[0]}," in ranges
    assert are_known()


def test_unknown_version_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(ray_internals, "TESTED", ())
    before = usage.tag_callbacks, class_cache.DEFAULT_ENV_VARS
    start_trials_quickly(inherits=True)
    assert (usage.tag_callbacks, class_cache.DEFAULT_ENV_VARS) == before
    assert complete_launcher({"anything": 1}) == {"anything": 1}
