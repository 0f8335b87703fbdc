# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The commands that listen."""

import json
import signal
import subprocess

import pytest
from command_line import command
from dashboard_app import bearer, get, write
from synthetic_sweep import synthetic_rows


@pytest.mark.system
def test_the_page_waits_for_the_first_run_of_a_new_project(tmp_path):
    words = command("dashboard", "--port", 0, "--json")
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(process.stdout.readline())
        status, _, body = get(said["url"], "api/jobs", **bearer(said["token"]))
        assert status == 200 and json.loads(body) == []
        write(tmp_path / "runs" / "first", synthetic_rows())
        _, _, body = get(said["url"], "api/jobs", **bearer(said["token"]))
        assert [r["name"] for r in json.loads(body)] == ["first"]
    finally:
        process.kill()


@pytest.mark.system
def test_the_command_prints_the_address_and_ends_on_ctrl_c(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    write(tmp_path / "runs" / "sweep", synthetic_rows())
    words = command("dashboard", "runs", "--port", 0, "--json")
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        status, _, body = get(said["url"], "api/jobs", **bearer(said["token"]))
        assert status == 200 and [r["name"] for r in json.loads(body)] == ["sweep"]
        assert get(said["url"], "runs")[0] == 401
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stdout.read() == ""
    finally:
        process.kill()
