# pyright: basic, reportArgumentType=false
"""The commands around the queue: the service and its client."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

import pytest
from command_line import answer, call, command
from dashboard_app import TOKEN, write
from live_runs import read_rows
from synthetic_sweep import synthetic_rows
from waiting import wait_until

from cluster.web.client import Client
from cluster.web.schemas import Submission
from rungwise.run_log.events import CheckpointRow, EndRow, FindingRow, ResultRow
from rungwise.validation import InputError


def test_the_command_line_is_a_client_of_the_service(idle, monkeypatch, tmp_path):
    root, client = idle
    write(root / "sweep", synthetic_rows())
    monkeypatch.setenv("RUNGWISE_TOKEN", TOKEN)
    at = ("--service", client.url)
    words = ("submit", "cartpole", "--name", "mine", "--priority", 3, "--json")
    assert answer(call("jobs", *words, *at, cwd=tmp_path))["job"]["priority"] == 3
    shown = call("jobs", *at, cwd=tmp_path)
    assert "mine" in shown.stdout and "queued" in shown.stdout, shown.stderr
    assert "priority 3" in shown.stdout and "sweep" in shown.stdout
    assert "KL 14.2" in call("jobs", "findings", "sweep", *at, cwd=tmp_path).stdout
    refused = call("jobs", "stop", "mine", "--trials", 64, *at, cwd=tmp_path)
    assert refused.returncode == 2 and "`rungwise jobs resume JOB --trials 64`" in refused.stderr
    call("jobs", "stop", "mine", *at, cwd=tmp_path)
    resumed = call("jobs", "resume", "mine", "--trials", 64, "--json", *at, cwd=tmp_path)
    assert (answer(resumed)["job"]["state"], answer(resumed)["job"]["trials"]) == ("queued", 64)
    monkeypatch.setenv("RUNGWISE_TOKEN", "wrong")
    refused = call("jobs", *at, cwd=tmp_path)
    assert refused.returncode == 2 and "token" in refused.stderr


def test_rows_are_listed_of_the_trial_that_is_named(idle, monkeypatch, tmp_path):
    root, client = idle
    rows = synthetic_rows()
    write(root / "sweep", rows)
    monkeypatch.setenv("RUNGWISE_TOKEN", TOKEN)

    def ask(*words):
        return call("jobs", *words, "--service", client.url, "--json", cwd=tmp_path)

    sick, healthy = next(row.trial for row in rows if isinstance(row, FindingRow)), "08"
    found = answer(ask("findings", "sweep", "--trial", sick))["findings"]
    assert {row["trial"] for row in found} == {sick} and sick != healthy
    assert answer(ask("findings", "sweep", "--trial", healthy)) == {"findings": []}
    (curve,) = answer(ask("metrics", "sweep", "--trial", healthy))["metrics"]
    assert curve["trial"] == healthy
    unknown = ask("checkpoints", "sweep", "--trial", "8")
    assert unknown.returncode == 2 and "no trial '8'" in unknown.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "r", "--trial", "03"], "--trial 03 is a flag of stop, resume,"),
        (["findings", "r", "--metric", "loss"], "--metric loss is a flag of metrics"),
        (["list", "--name", "mine"], "--name mine is a flag of submit"),
        (["resume", "r", "--priority", 3], "leave it out of `rungwise jobs resume`"),
    ],
)
def test_a_flag_of_another_action_is_refused(tmp_path, words, said):
    done = call("jobs", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["service", "runs", "--disk-limit", "0"], "--disk-limit must be above 0 GiB"),
        (
            ["service", "runs", "--users", "none.yaml"],
            "none.yaml is no file of users (No such file",
        ),
        (["dashboard", "runs", "--users", "users.yaml", "--no-token"], "leave out --no-token"),
        (["train", "cartpole", "--metrics", "8472"], "--metrics must be HOST:PORT"),
        (["train", "cartpole", "--metrics", "no.such.host.:1"], "cannot be listened on"),
    ],
)
def test_what_servers_are_told_is_checked_before_they_start(tmp_path, words, said):
    (tmp_path / "runs").mkdir()
    (tmp_path / "users.yaml").touch(0o600)
    (tmp_path / "users.yaml").write_text("anna: {token: a-token-of-the-tests, role: read}")
    done = (
        call(*words, "--port", 0, cwd=tmp_path)
        if words[0] != "train"
        else call(*words, "--out", tmp_path / "new", cwd=tmp_path)
    )
    assert done.returncode == 2 and said in " ".join(done.stderr.split())
    assert not (tmp_path / "new").exists()


@contextmanager
def service(home, *words):
    """The real command, in a home of its own; its process and a client."""
    environment = os.environ | {"HOME": str(home)}
    process = subprocess.Popen(
        command("service", home / "runs", "--port", 0, "--cpus", 1, "--json", *words),
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield process, Client(said["url"], said["token"])
    finally:
        process.kill()
        process.wait()


@pytest.mark.system
def test_a_restarted_service_finds_and_stops_its_run(tmp_path):
    long = {"search": {"lr": {"loguniform": [1e-4, 1e-3]}}, "trials": 2, "checkpoint_interval": 1}
    long |= {"env": "CartPole-v1", "iterations": 100000, "scheduler": "none"}
    run = tmp_path / "runs" / "long"
    with service(tmp_path) as (process, client):
        client.submit(Submission(job=long, name="long"))
        wait_until(lambda: read_rows(run, CheckpointRow, "00"))
        client.control_trial("long", "00", "stop")
        (ended,) = wait_until(lambda: read_rows(run, EndRow, "00"))
        assert ended.reason == "stopped" and "by hand" in ended.sentence
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: read_rows(run, CheckpointRow, "01"))  # the run continues without the service
    with service(tmp_path) as (process, client):
        assert client.get_job("long").job.state == "running"
        with pytest.raises(InputError, match="already running"):
            client.control_job("long", "resume")
        client.control_trial("long", "00", "resume")  # when the others are done
        client.control_job("long", "stop")  # a newer request overrides the one before
        wait_until(lambda: client.get_job("long").job.state == "stopped")
        before = {t: read_rows(run, CheckpointRow, t)[-1].iteration for t in ("00", "01")}
        known = len(read_rows(run, ResultRow))
        client.control_job("long", "resume")
        first = wait_until(lambda: read_rows(run, ResultRow)[known:])[0]
        assert (first.trial, first.iteration) == ("00", before["00"] + 1)
        client.control_job("long", "stop")
        wait_until(lambda: client.get_job("long").job.state == "stopped")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
