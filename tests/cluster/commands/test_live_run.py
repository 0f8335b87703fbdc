# pyright: basic
"""A run from the terminal: what is said before it and how its outcome is answered."""

import socket

import pytest
from finished_run import job, silent
from synthetic_sweep import end, job_row, result

from cluster.commands.live_run import (
    announce_job,
    check_and_describe_machine,
    print_and_check_outcome,
)
from cluster.errors import CommandFailed, RunInterrupted
from rungwise.run_log.events import CheckpointRow, JobEndRow
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError
from tune_jobs import ray_session
from tune_jobs.jobs.job_yaml import load_job


def test_a_job_too_large_for_this_machine_is_refused():
    large = job(settings={"num_env_runners": 500})
    with pytest.raises(InputError, match=r"hold 50\d CPUs.* --cpus"):
        check_and_describe_machine(large, "local", None)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        check_and_describe_machine(large, address, None)  # a cluster may grow
        check_and_describe_machine(large, f"ray://{address}", None)
    for nowhere in (address, f"ray://{address}", "no such host:6379"):
        with pytest.raises(InputError, match=f"no Ray to join at {nowhere}.*`ray start --head`"):
            check_and_describe_machine(large, nowhere, None)


def test_more_cpus_than_cores_are_a_warning(monkeypatch, capsys):
    monkeypatch.setattr(ray_session, "count_cores", lambda: 1)
    check_and_describe_machine(job(), "local", 8)
    assert "--cpus 8 is more than the 1 core" in " ".join(capsys.readouterr().err.split())


def test_a_start_is_announced_with_its_size_and_its_changes(capsys):
    announce_job(job(settings={"epochs": 2}), "ray://head:10001", None)
    said = " ".join(capsys.readouterr().err.split())
    assert said == (
        "CartPole-v1, PPO, 3 settings under ASHA, at most 4 iterations each, on the Ray at "
        "ray://head:10001 settings: epochs 2 search: lr loguniform [0.0001, 0.01] job: iterations 4"
    )


def test_the_work_of_stage_1_is_announced_before_the_start(capsys):
    announce_job(load_job("shop-astar"), "local", None)
    said = " ".join(capsys.readouterr().err.split())
    assert "Stage 1 plays 80,000 episodes before the first iteration" in said


def answer_for(tmp_path, *rows):
    outcome = Outcome.from_rows([job_row(trials=1), result("00", 4, 0.5), *rows])
    return print_and_check_outcome(outcome, tmp_path, silent(), Outcome.as_dict)


def test_an_outcome_is_answered_unless_the_run_was_stopped(tmp_path):
    done = answer_for(tmp_path, end("00", 4, "budget"), JobEndRow(reason="done", seconds=1.0))
    assert done["best"]["id"] == "00"
    with pytest.raises(RunInterrupted):
        answer_for(tmp_path, end("00", 4, "stopped"), JobEndRow(reason="stopped", seconds=1.0))


def test_a_run_whose_trials_all_failed_has_no_result(tmp_path):
    with pytest.raises(CommandFailed, match="no result: reset raised"):
        answer_for(tmp_path, end("00", 4, "error", "reset raised"))


@pytest.mark.parametrize("reason", ["error", "health"])
def test_a_run_that_failed_after_its_checkpoint_ended_early(reason, tmp_path):
    saved = CheckpointRow(trial="00", iteration=4, path="trials/00/checkpoint_4")
    with pytest.raises(CommandFailed, match="ended early: step raised"):
        answer_for(tmp_path, saved, end("00", 4, reason, "step raised"))
