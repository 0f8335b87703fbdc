# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The command ``watch``: what it refuses, how it ends, and that its run is a run like any other."""

import json
import re
import shlex
import sys

import pytest
from programs import look_often, write_logger

from cluster import cli
from cluster.pages.events_tab import list_events
from cluster.web.run_view import RunView
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.programs.process import find_program
from tune_jobs.programs.trial_program import get_program_folder
from tune_jobs.report.shared_sections import list_cards


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    look_often(monkeypatch)


def watch(capsys, *words):
    status = cli.run(["watch", "--json", *map(str, words)])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "0 are given"),
        (["a.csv", "--", "true"], "2 are given"),
        (["--"], "no command after --"),
        (["--", "no-such-program", "x"], "'no-such-program' does not exist"),
        (["--", "./train.py"], r"`python ./train.py`\?"),
        (["no-such-log"], "no-such-log does not exist"),
        (["--pid", "1", "--", "true"], "needs the path of the log"),
        (["here.csv", "--pid", "999999999"], "no process 999999999"),
        (["--metric", "loss", "--", "true"], r"mode must say whether a small \(min\)"),
        (["--rename", "profit", "--", "true"], "--rename must be"),
        (["--notify", "hooks.slack.com/x", "--", "true"], "notify must be an http or https URL"),
        (["weights.pt"], "weights.pt is none of the files that can be read"),
        (["here.csv", "--log", "*.csv"], "--log .* is a second log"),
        (["--resume", "run", "--health", "warn"], "--health would change nothing"),
        (["--resume", "run", "--patience-s", "9"], "--patience-s would change nothing"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_it_starts(capsys, tmp_path, words, message):
    (tmp_path / "here.csv").write_text("return\n")
    (tmp_path / "weights.pt").write_bytes(b"\x80PK\x00" * 9)
    status, said = watch(capsys, *words)
    assert status == 2 and re.search(message, said["error"]["message"]), said
    assert not (tmp_path / "runs").exists()


def test_a_log_that_turns_out_to_be_none_is_refused(capsys, tmp_path):
    (tmp_path / "weights.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe" * 100)
    status, said = watch(capsys, "weights.csv", "--patience-s", 0.1, "--out", "run")
    assert status == 2 and "weights.csv is not a text file" in said["error"]["message"]


def test_words_after_the_dashes_are_the_command_unchanged(capsys, tmp_path):
    code = "import sys; print(sys.argv[1:])"
    words = [sys.executable, "-c", code, "{lr}", "a b", "{{x}}", "--json"]
    status, _ = watch(capsys, "--patience-s", 60, "--out", "run", "--", *words)
    assert status == 1  # it has logged nothing that could be judged
    output = (tmp_path / "run/programs/00/stdout.log").read_text()
    assert output == "['{lr}', 'a b', '{{x}}', '--json']\n"


def test_a_healthy_program_passes_and_a_doomed_one_ends_with_status_3(capsys, tmp_path):
    words = write_logger(tmp_path)
    status, said = watch(capsys, "--out", "good", "--", *words, "good.csv", 25, 0.01)
    assert status == 0 and said["end_reason"] == "budget" and not said["findings"]
    assert said["metrics"]["score"] == 25
    status, said = watch(
        *(capsys, "--out", "bad", "--", *words, "bad.csv", 3000, 0.01),
        "i if i < 9 else float('nan')",
    )
    assert status == 3 and said["end_reason"] == "health"
    assert [finding["symptom"] for finding in said["findings"]] == ["not_finite"]
    assert not find_program(get_program_folder(tmp_path / "bad", "00")).is_running


def test_a_watched_run_is_shown_as_any_other(capsys, tmp_path):
    words = write_logger(tmp_path)
    watch(capsys, "--out", "run", "--", *words, "log.csv", 12, 0.01)
    for command in (["report", "run"], ["ledger", "run"], ["doctor", "run"]):
        assert cli.run([*command, "--json"]) == 0, command
        capsys.readouterr()
    view = RunView(tmp_path / "run")
    view.refresh()
    (trial,) = view.outcome.trials
    assert trial.iterations == 12 and view.job.iterations == 0
    assert "iterations run" in str(list_cards(view.outcome))
    told = list_events(row for _, row in view.other_rows)
    (event,) = [event for event in told if event["kind"] == "log"]
    assert event["title"].endswith("log.csv") and event["text"] == "SB3 progress.csv."


def test_what_cannot_be_ended_is_said_also_after_a_resume(capsys, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("return,loss\n" + "1,2\n" * 9 + "1,nan\n" * 9)
    for words in (["log.csv", "--out", "run"], ["--resume", "run"]):
        assert cli.run(["watch", *words]) == 3
        assert "should be ended (no --pid is given)" in capsys.readouterr().err


def test_flags_of_health_and_budget_are_in_the_job(tmp_path, capsys):
    words = write_logger(tmp_path)
    flags = "--health warn --metric rollout/ep_rew_mean --rename own=kl --patience 5"
    flags += " --progress time/total_timesteps --budget 12000"
    watch(capsys, *flags.split(), "--out", "run", "--", *words, "log.csv", 12, 0.01)
    job = load_job(tmp_path / "run/job.yaml")
    assert (job.env, job.algo, job.iterations, job.patience) == ("train", "program", 100, 5)
    assert job.health["not_finite"] == "warn" and job.metric == "rollout/ep_rew_mean"
    assert job.program.rename == {"own": "kl"} and job.program.budget == 12000
    assert shlex.split(job.program.command)[:2] == words


def test_a_table_of_ones_own_is_judged_without_a_return(capsys, tmp_path):
    lines = ["step,profit,ep_len,approx_kl,entropy,loss"]
    lines += [f"{i}000,{i},20,{0.01 if i < 20 else 30.0},0.6,1" for i in range(1, 41)]
    script = f"open('own.csv', 'w').write({chr(10).join(lines)!r})"
    (tmp_path / "train.py").write_text(script)
    words = ["--progress", "step", "--budget", 80_000, "--out", "run"]
    status, said = watch(capsys, *words, "--", sys.executable, "train.py")
    assert status == 0 and said["end_reason"] == "budget" and said["metrics"]["score"] is None
    found = {finding["symptom"]: finding for finding in said["findings"]}
    assert set(found) == {"no_score", "kl_runaway"}
    assert "--rename 'profit=return_mean'" in found["no_score"]["evidence"]
    outcome = Outcome.from_rows(read_event_log(tmp_path / "run/events.jsonl"))
    assert outcome.compute_saved == 0 and outcome.iterations_open == 0
