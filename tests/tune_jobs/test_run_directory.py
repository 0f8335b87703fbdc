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


@pytest.mark.parametrize("name", ["../../etc/cron", "/tmp/x", "..", "a b;c", "", "x" * 3 + "/.."])
def test_a_program_of_any_name_gets_a_folder_below_the_parent(tmp_path: Path, name: str):
    found = find_free_directory(name, tmp_path)
    assert found.resolve().parent == tmp_path.resolve() and not found.name.startswith(".")
