# pyright: basic
"""``--quick`` of every preset, by the command a user calls: a healthy run is no failure."""

import time

import pytest
from command_line import rungwise
from presets import skip_if_not_installed

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import EndRow, ResultRow
from tune_jobs.jobs.job_yaml import list_presets

LIMIT_S = 60
"""Longest time of a quick run on two cores."""
NEEDS_A_FOLDER = {"shop-qwen", "thoughts-lm"}
"""Presets for a language model that the user has to name."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("preset", sorted(set(list_presets()) - NEEDS_A_FOLDER))
@pytest.mark.parametrize("command", ["train", "tune"])
def test_a_quick_run_of_a_preset_succeeds(command, preset, tmp_path):
    skip_if_not_installed(preset)
    started = time.perf_counter()
    done = rungwise(
        *(command, preset, "--quick", "--cpus", 2, "--out", "run"), cwd=tmp_path, timeout=240
    )
    seconds = time.perf_counter() - started
    print(f"\n{command} {preset}: {seconds:.0f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Too short to judge")
    rows = read_event_log(tmp_path / "run" / "events.jsonl")
    assert {row.reason for row in rows if isinstance(row, EndRow)} <= {"budget", "asha", "target"}
    assert any(row.score is not None for row in rows if isinstance(row, ResultRow))
    assert seconds <= LIMIT_S
