# pyright: basic
"""What a run records of its machine."""

import os

from tune_jobs.session import machine


def test_host_and_cpu_are_known_and_gpus_only_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    found = machine.describe_machine()
    assert found["host"] and found["cpu"].endswith("CPUs") and "gpu" not in found
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'A100\\nA100\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(machine.shutil, "which", lambda name: str(tool))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.describe_machine()["gpu"] == "A100, A100"


def test_a_system_without_cpu_info_still_names_its_processor(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "none")
    assert machine.describe_machine()["cpu"]
