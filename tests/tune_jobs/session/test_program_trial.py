# pyright: basic, reportOptionalMemberAccess=false, reportOptionalOperand=false
"""A program as a trial: its iterations one by one, its failures, its end, its continuation."""

import json
import socket
import sys
import time
from dataclasses import replace

import pytest
from programs import ENDLESS, describe_resumable, look_often, write_logger
from waiting import wait_until

from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.programs import followed_program, trial_program
from tune_jobs.programs.process import find_program
from tune_jobs.programs.trial_program import get_program_folder
from tune_jobs.session.program_trial import make_program_trainable

PLAN = {"trial": "01", "config": {"pause": 0.02}, "hang_report_dir": "", "resume_from": ""}
CONFIG = {"plan": PLAN}
REST = {
    "search": {"pause": {"uniform": [0.01, 0.05]}},
    "metric": "rollout/ep_rew_mean",
    "progress": "time/total_timesteps",
    **{"budget": 10_000, "iterations": 10, "trials": 4, "mode": "max"},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    look_often(monkeypatch)


@pytest.fixture
def start(tmp_path):
    started = []

    def make(rows=12, value="i", config=CONFIG, **fields):
        command = " ".join(write_logger(tmp_path))
        given = {"command": f"{command} {{out}}/progress.csv {rows} {{pause}} '{value}'", **REST}
        trainable = make_program_trainable(make_job(given | fields), tmp_path / "run")
        started.append(trainable(config))
        return started[-1]

    yield make
    for trainable in started:
        trainable.cleanup()


def steps(trial):
    results = [trial.step()]
    while not results[-1]["done"]:
        results.append(trial.step())
    return results


def test_a_step_is_a_part_of_the_budget_and_the_last_says_the_end(start):
    results = steps(start(rows=10))
    assert [r["iteration"] for r in results] == [r["training_iteration"] for r in results]
    assert [r["iteration"] for r in results] == list(range(1, 11))
    assert [r["score"] for r in results] == [float(i) for i in range(1, 11)]
    assert results[-1]["ended"] == ("budget", "the program ended by itself")
    assert json.loads(results[3]["metrics"])["env_steps"] == 4000


def test_a_program_that_runs_on_past_its_budget_is_ended(start, tmp_path):
    trial = start(rows=ENDLESS)
    results = steps(trial)
    assert [r["iteration"] for r in results[:11]] == list(range(1, 12))
    assert results[-1]["ended"][1].endswith("after its whole budget")
    assert not find_program(get_program_folder(tmp_path / "run", "01")).is_running


def test_a_failing_program_raises_with_its_last_words(start):
    trial = start(rows=5, value='i if i < 4 else sys.exit("broken")')
    with pytest.raises(RuntimeError, match="status 1: broken"):
        steps(trial)


def test_a_missing_score_is_a_fault_that_is_not_tried_again(start, monkeypatch, tmp_path):
    monkeypatch.setattr(followed_program, "CHECKED_ROWS", 3)
    *before, result = steps(start(rows=ENDLESS, metric="rollout/ep_rew"))
    assert all(row["score"] is None for row in before)
    assert result["done"] and "did you mean rollout/ep_rew_mean" in result["fault"]
    assert not find_program(get_program_folder(tmp_path / "run", "01")).is_running


def test_the_time_trained_does_not_follow_the_clock(start, monkeypatch):
    trial = start(rows=500)
    before = trial.step()["trained_s"]
    an_hour_ago = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)
    assert trial.step()["trained_s"] > before > 0


def test_a_program_without_a_log_is_a_fault(start):
    (result,) = steps(start(log="elsewhere/*.csv", patience_s=0.2, rows=ENDLESS))
    assert result["done"] and "elsewhere/*.csv" in result["fault"]


def test_a_process_that_died_leaves_its_program_to_the_next(start, tmp_path):
    go = tmp_path / "go"
    first = start(rows=10, value=f'held(i, 3, "{go}")')
    first.step()
    pid = find_program(get_program_folder(tmp_path / "run", "01")).pid
    second = make_program_trainable(first.job, tmp_path / "run")(CONFIG)
    assert second.step()["iteration"] == 1
    go.touch()
    assert [r["iteration"] for r in steps(second)] == list(range(2, 11))
    assert find_program(get_program_folder(tmp_path / "run", "01")).pid == pid


def test_a_program_left_running_on_another_host_is_started_anew(start, tmp_path):
    """Its guard is about to end it."""
    go = tmp_path / "go"
    first = start(rows=10, value=f'held(i, 3, "{go}")')
    type(first).driver_host = "another"
    first.step()
    left = find_program(get_program_folder(tmp_path / "run", "01"))
    second = type(first)(CONFIG)
    assert second.step()["iteration"] == 1
    go.touch()
    assert [r["iteration"] for r in steps(second)] == list(range(2, 11))
    assert not left.is_running
    assert find_program(get_program_folder(tmp_path / "run", "01")).pid != left.pid


def write_short_program(tmp_path):
    """Write a program that notes its starts and ends with a status; return fields of a job."""
    script = tmp_path / "noted.py"
    script.write_text(
        "import sys, pathlib\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "with (out.parent / 'starts').open('a') as starts:\n"
        "    print('started', file=starts)\n"
        "rows = [f'{i},{1000 * i}' for i in range(1, 11)]\n"
        "(out / 'progress.csv').write_text('\\n'.join(['return_mean,env_steps', *rows, '']))\n"
        "sys.exit(int(sys.argv[2]))\n"
    )
    return {
        **REST,
        **{"metric": "return_mean", "progress": "env_steps", "trials": 2},
        "command": f"{sys.executable} {script} {{out}} {{status}}",
        "search": {"status": {"choice": [0, 3]}},
    }


@pytest.mark.parametrize(
    ("status", "starts", "driver_host"),
    [(0, 1, ""), (0, 1, "another"), (3, 2, "")],
    ids=["it finished", "it finished elsewhere", "it failed"],
)
def test_what_finished_without_a_driver_is_not_run_again(tmp_path, status, starts, driver_host):
    trainable = make_program_trainable(make_job(write_short_program(tmp_path)), tmp_path / "run")
    trainable.driver_host = driver_host or trainable.driver_host
    config = {"plan": PLAN | {"config": {"status": status}}}
    assert trainable(config).step()["iteration"] == 1
    folder = get_program_folder(tmp_path / "run", "01")
    wait_for_end(folder)
    again = trainable(config)  # the first was killed with its driver: nothing has cleaned it up
    numbers = [again.step()["iteration"] for _ in range(9)]
    assert numbers == list(range(1, 10))
    wait_for_end(folder)
    assert (folder / "starts").read_text().count("started") == starts


def test_a_finished_program_is_not_run_again_on_another_host(tmp_path, monkeypatch):
    config = {"plan": PLAN | {"config": {"status": 0}}}
    job, folder = (
        make_job(write_short_program(tmp_path)),
        get_program_folder(tmp_path / "run", "01"),
    )
    make_program_trainable(job, tmp_path / "run")(config).step()
    wait_for_end(folder)
    monkeypatch.setattr(socket, "gethostname", lambda: "another-name")
    again = make_program_trainable(job, tmp_path / "run")(config)
    assert [again.step()["iteration"] for _ in range(9)] == list(range(1, 10))
    assert (folder / "starts").read_text().count("started") == 1
    assert [path.name for path in folder.parent.iterdir()] == ["01"], "its output is in place"


def test_a_trial_beside_its_driver_is_so_under_any_name(start, monkeypatch):
    """A guard would end its program with the trial's process."""
    guarded = []
    monkeypatch.setattr(trial_program, "end_with_this_process", guarded.append)
    trial = start(rows=500)
    monkeypatch.setattr(socket, "gethostname", lambda: "another-name")
    trial.step()
    assert not guarded


def test_time_after_its_end_is_not_time_trained(tmp_path, monkeypatch):
    trainable = make_program_trainable(make_job(write_short_program(tmp_path)), tmp_path / "run")
    config = {"plan": PLAN | {"config": {"status": 0}}}
    trainable(config).step()
    wait_for_end(get_program_folder(tmp_path / "run", "01"))
    tomorrow = time.time() + 24 * 3600
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert 0 < trainable(config).step()["trained_s"] < 3600


def test_lines_that_cannot_be_read_are_reported(tmp_path):
    fields = write_short_program(tmp_path)
    script = tmp_path / "noted.py"
    script.write_text(script.read_text().replace("*rows,", "*rows[:5], '1,2,3', *rows[5:],"))
    trainable = make_program_trainable(make_job(fields), tmp_path / "run")
    results = steps(trainable({"plan": PLAN | {"config": {"status": 0}}}))
    assert "line 7 has 3 cells" in results[-1]["left_out"]


def test_what_was_ended_is_run_again(start, tmp_path):
    first = start(rows=500)
    first.step()
    first.cleanup()
    folder = get_program_folder(tmp_path / "run", "01")
    # Some programs catch SIGINT, save and end without an error.
    (folder / "status").write_text("0\n")
    second = make_program_trainable(first.job, tmp_path / "run")(CONFIG)
    second.step()
    assert find_program(folder).is_running
    second.cleanup()


@pytest.mark.parametrize(("earlier", "before_s"), [(False, 1e6), (True, 2e6)])
def test_reached_of_earlier_version_has_its_time(start, tmp_path, earlier, before_s):
    trial = start(rows=ENDLESS, value='held(i, 3, "go")', resume="--load {checkpoint}")
    trial.step()
    folder, saved = get_program_folder(tmp_path / "run", "01"), tmp_path / "saved"
    (folder / "before_s").unlink()  # which earlier versions did not write
    started = find_program(folder).started - earlier
    reached = {"iteration": 1, "trained_s": 2e6, "before_s": 1e6, "started": started}
    saved.mkdir()
    (saved / "reached.json").write_text(json.dumps(reached))
    again = type(trial)({"plan": PLAN | {"resume_from": str(saved)}})
    result = again.step()
    assert result["iteration"] == 2 and before_s < result["trained_s"] < before_s + 1e5


def wait_for_end(folder):
    while find_program(folder).is_running:
        time.sleep(0.02)


@pytest.mark.parametrize("half", ["", "9", "9,9"], ids=["whole", "one cell", "two cells"])
def test_what_can_resume_continues_from_its_folder_and_behind_half_a_line(tmp_path, half):
    fields = describe_resumable(tmp_path)
    fields["command"] += " {pause}"
    job = make_job({**fields, "search": REST["search"], "trials": 2})
    trainable = make_program_trainable(job, tmp_path / "run")
    trial = trainable(CONFIG)
    first = [trial.step()["iteration"] for _ in range(3)]
    trial.reached = replace(trial.reached, trained_s=1e6)
    (tmp_path / "saved").mkdir()
    trial.save_checkpoint(str(tmp_path / "saved"))
    trial.cleanup()
    log = tmp_path / "run/programs/01/out/progress.csv"
    log.write_text(log.read_text() + half)
    again = trainable(CONFIG)
    again.load_checkpoint(str(tmp_path / "saved"))
    results = steps(again)
    assert first + [r["iteration"] for r in results] == list(range(1, 11))
    assert [r["score"] for r in results] == [r["iteration"] for r in results]
    assert 1e6 < results[0]["trained_s"] < results[-1]["trained_s"], "of both its starts"
    assert log.read_text().count("return_mean") == 1, "it was continued and not started again"


def test_rows_between_the_last_look_and_the_pause_are_read_after_it(tmp_path, start):
    trial = start(rows=10, resume="--load {checkpoint}")
    first = trial.step()
    program = find_program(get_program_folder(tmp_path / "run", "01"))
    wait_until(lambda: not program.is_running)
    (tmp_path / "saved").mkdir()
    trial.save_checkpoint(str(tmp_path / "saved"))
    job = make_job({"command": "true {out} {pause}", "resume": "{checkpoint}", **REST})
    again = make_program_trainable(job, tmp_path / "run")(CONFIG)
    again.load_checkpoint(str(tmp_path / "saved"))
    numbers = [first["iteration"], *(row["iteration"] for row in steps(again))]
    assert numbers == list(range(1, 11))
