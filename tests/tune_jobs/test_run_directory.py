"""Names of new run directories."""

from pathlib import Path

import pytest

from tune_jobs import run_directory
from tune_jobs.run_directory import find_free_directory


def test_runs_of_a_day_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_directory.time, "strftime", lambda form: "2026-11-22")
    first = find_free_directory("envs:CausalLearning-v0", tmp_path)
    assert first == tmp_path / "causallearning-2026-11-22-1"
    first.mkdir()
    assert find_free_directory("CausalLearning-v0", tmp_path).name.endswith("-2")
