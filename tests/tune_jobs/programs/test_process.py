# pyright: basic, reportOptionalMemberAccess=false, reportOptionalOperand=false
"""A program is started, found again and ended, with all that it has started itself."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
from waiting import wait_until

from rungwise.validation import InputError
from tune_jobs.programs import process as module
from tune_jobs.programs.process import (
    START,
    STATUS,
    STDERR,
    STDOUT,
    find_process,
    find_program,
    read_last_lines,
    remember_program,
    start_program,
)

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
for number in map(int, sys.argv[1:]):
    signal.signal(number, lambda n, f: print("ignored", n, flush=True))
os.fork()
print("ready", flush=True)
while True:  # a signal just before a sleep is handled only after it
    time.sleep(0.05)
"""
SAVING = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    os.fork() and print("ready", flush=True)
    while True:
        time.sleep(0.05)
except KeyboardInterrupt:
    print("saved", flush=True)
"""
STARTER = """
import os, sys, time
from pathlib import Path
from tune_jobs.programs.process import end_with_this_process, start_program
folder = Path(sys.argv[1])
start_program(sys.argv[2:], folder, os.environ)
end_with_this_process(folder)
print("started", flush=True)
time.sleep(1000)
"""


def start(folder, *command):
    return start_program(command or (sys.executable, "-c", "print(1)"), folder, os.environ)


class HandledSignals:
    """A clock that passes a second when the program and its child have handled a signal."""

    def __init__(self, folder):
        self.folder, self.now = folder, 0.0

    def __call__(self):
        handled = (self.folder / STDOUT).read_text().count("ignored") // 2
        self.now = min(self.now + 0.25, handled + 0.9)
        return self.now


def members(program):
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == program.pid and process.status() != "zombie":
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass
    return found


@pytest.mark.parametrize(("code", "status"), [("", 0), ("import sys; sys.exit(7)", 7)])
def test_output_and_status_of_a_program_are_in_files(tmp_path, code, status):
    code += "" if status else "import sys; print('out'); print('err', file=sys.stderr)"
    program = start(tmp_path / "new" / "00", sys.executable, "-c", code)
    wait_until(lambda: not program.is_running)
    assert program.exit_status == status
    if not status:
        assert (program.folder / STDOUT).read_text() == "out\n"
        assert (program.folder / STDERR).read_text() == "err\n"


def test_a_killed_program_has_the_status_of_its_signal(tmp_path):
    program = start(tmp_path, sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    wait_until(lambda: program.exit_status is not None)
    assert program.exit_status == 128 + signal.SIGKILL


def test_a_program_has_not_ended_before_its_status_is_written(tmp_path):
    """The shell creates the file, then writes to it."""
    program = start(tmp_path, "sleep", "60")
    (tmp_path / module.STATUS).touch()
    assert program.is_running and program.exit_status is None
    (tmp_path / module.STATUS).write_text("0\n")
    assert not program.is_running
    program.end()


@pytest.mark.parametrize(
    "ignored", [(), (signal.SIGINT,), (signal.SIGINT, signal.SIGTERM)], ids=len
)
def test_a_program_is_ended_with_its_children(tmp_path, ignored):
    program = start(tmp_path, sys.executable, "-c", STUBBORN, *map(str, map(int, ignored)))
    wait_until(lambda: (tmp_path / STDOUT).read_text().count("ready") == 2)
    assert len(members(program)) == 3  # the shell, the program and its child
    program.end(grace_s=1, clock=HandledSignals(tmp_path))
    wait_until(lambda: not members(program))
    assert (tmp_path / STDOUT).read_text().count("ignored") == 2 * len(ignored)
    assert not program.is_running


def test_a_program_whose_shell_was_killed_still_runs_until_it_ends(tmp_path):
    wait = "until [ -e go ]; do sleep 0.05; done"
    program = start_program(["sh", "-c", wait], tmp_path / "00", os.environ, tmp_path)
    shell = psutil.Process(program.pid)
    wait_until(shell.children)
    shell.kill()
    wait_until(lambda: shell.pid not in members(program))
    assert find_program(tmp_path / "00").is_running
    (tmp_path / "go").touch()
    wait_until(lambda: not members(program))
    assert not find_program(tmp_path / "00").is_running


def test_a_program_is_no_child_of_the_process_that_starts_it(tmp_path):
    """Ray kills the children of a worker with it: of a program, the shell around it."""
    program = start(tmp_path, "sleep", "60")
    assert psutil.Process(program.pid).ppid() != os.getpid()
    program.end(grace_s=5)


def start_guarded(folder, *command):
    """Start a program in a process of its own that it is to end with; return that process."""
    words = [sys.executable, "-c", STARTER, str(folder), *command]
    starter = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert starter.stdout.readline() == b"started\n"
    return starter


def find_guard(folder):
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any("guard_program" in word for word in words) and words[-1] == str(folder):
            return process
    return None


def test_a_guarded_program_is_asked_to_end_when_its_starter_is_killed(tmp_path):
    starter = start_guarded(tmp_path, sys.executable, "-c", SAVING)
    program, guard = find_program(tmp_path), wait_until(lambda: find_guard(tmp_path))
    assert guard.ppid() != starter.pid and os.getpgid(guard.pid) != program.pid
    wait_until(lambda: "ready" in (tmp_path / STDOUT).read_text())
    assert program.is_running
    starter.kill()
    starter.wait()
    wait_until(lambda: not members(program) and not find_guard(tmp_path))
    assert (tmp_path / STDOUT).read_text().count("saved") == 2, "the program and its child"
    assert program.is_discarded


def test_a_guarded_program_that_has_finished_stays_finished(tmp_path):
    starter = start_guarded(tmp_path, "true")
    program, _ = find_program(tmp_path), wait_until(lambda: find_guard(tmp_path))
    wait_until(lambda: program.has_finished)
    starter.kill()
    starter.wait()
    wait_until(lambda: not find_guard(tmp_path))
    assert program.has_finished


def test_children_that_outlive_the_program_are_ended(tmp_path):
    program = start(tmp_path, "sh", "-c", "sleep 60 & exit 0")
    wait_until(lambda: program.exit_status == 0)
    wait_until(lambda: len(members(program)) == 1)  # the shell ends after it has written
    program.end(grace_s=1)
    wait_until(lambda: not members(program))


def test_a_program_is_found_again_by_another_process(tmp_path):
    program = start(tmp_path, "sleep", "60")
    found = find_program(tmp_path)
    assert found == program and found.is_running
    found.end(grace_s=1)
    wait_until(lambda: not found.is_running)
    assert find_program(tmp_path / "elsewhere") is None
    (tmp_path / module.PROCESS).write_text('{"pid": ')
    assert find_program(tmp_path) is None


@pytest.mark.parametrize("is_group", [False, True])
def test_another_process_with_the_same_id_is_left_alone(tmp_path, is_group):
    other = subprocess.Popen(["sleep", "60"], start_new_session=is_group)
    try:
        folder = [tmp_path] if is_group else []
        stale = module.ProgramProcess(other.pid, "another start", 1.0, *folder)
        stale.end(grace_s=0.2)
        assert not stale.is_running and other.poll() is None
    finally:
        other.kill()


def test_a_group_whose_leader_has_ended_is_ended_only_where_it_is_ours(tmp_path):
    """The id of a program that ended long ago may lead another group, and be free again."""
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE, start_new_session=True
    )
    child = psutil.Process(int(leader.stdout.readline()))
    leader.wait()
    try:
        stale = module.ProgramProcess(leader.pid, "another start", 1.0, tmp_path, token="ours")
        stale.end(grace_s=0)
        assert child.status() != psutil.STATUS_ZOMBIE
    finally:
        child.kill()


def test_a_program_is_found_and_ended_after_the_clock_was_set(tmp_path, monkeypatch):
    program = start(tmp_path, "sleep", "60")
    created = psutil.Process.create_time
    # What psutil reads after a step of the clock: the kernel's boot time moves with it.
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: created(process) + 1)
    found = find_program(tmp_path)
    assert program.is_running and found.is_running
    found.end(grace_s=5)
    assert not members(program) and found.is_discarded


def test_a_program_of_an_earlier_boot_does_not_run(tmp_path):
    program = start(tmp_path, "sleep", "60")
    ticks = program.start_id.rpartition("/")[2]
    stale = dataclasses.replace(program, start_id=f"another boot/{ticks}", token="another")
    assert program.is_running and not stale.is_running
    program.end(grace_s=5)


def test_of_somebody_elses_group_only_the_process_is_ended():
    shell = subprocess.Popen(
        ["sh", "-c", "sleep 61 & echo $!; sleep 62"], stdout=subprocess.PIPE, text=True
    )
    try:
        program = find_process(int(shell.stdout.readline()))
        program.end(grace_s=1)
        assert not program.is_running and shell.poll() is None
    finally:
        subprocess.run(["pkill", "-P", str(shell.pid)], check=False)
        shell.kill()


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        ((), "There is no command"),
        (("no_such_program_anywhere",), "'no_such_program_anywhere' does not exist"),
        (("./train.py",), r"may not be executed \(`python ./train.py`\?\)"),
    ],
)
def test_what_cannot_be_started_is_refused(tmp_path, monkeypatch, command, seen):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("print(1)")
    with pytest.raises(InputError, match=seen):
        start_program(command, tmp_path / "out", os.environ)
    with pytest.raises(InputError, match="There is no process"):
        find_process(2**22 - 1)


def test_the_last_lines_begin_with_the_exception_where_it_is_long(tmp_path):
    path = tmp_path / "log"
    error = "torch.SomeError: found invalid values:"
    path.write_text(f"Traceback:\n  raise ValueError(\n{error}\n" + "tensor([[nan]])\n" * 9)
    assert read_last_lines(path, 2) == f"{error} | tensor([[nan]])"
    path.write_text(f"Traceback:\n{error}\n" + "closing\n" * 9 + "3 workers failed\n")
    assert read_last_lines(path) == f"{error} | closing | 3 workers failed"


def test_the_last_lines_of_a_large_file_are_read(tmp_path):
    path = tmp_path / "stderr.log"
    assert read_last_lines(path) == ""
    path.write_text("noise\n" * 10**5 + "Traceback\n\n  boom\nValueError: lr\n")
    assert read_last_lines(path) == "Traceback | boom | ValueError: lr"


def test_a_program_is_known_whatever_its_machine_is_called(tmp_path, monkeypatch):
    done = start(tmp_path / "done")
    running = start(tmp_path / "running", sys.executable, "-c", "import time; time.sleep(1000)")
    wait_until(lambda: done.exit_status is not None)
    monkeypatch.setattr(module.socket, "gethostname", lambda: "another-name")
    assert find_program(tmp_path / "done").has_finished
    found = find_program(tmp_path / "running")
    assert found.is_running and found.pid == running.pid
    found.end()
    assert not running.is_running


def test_a_program_of_another_machine_does_not_run_here(tmp_path, monkeypatch):
    program = start(tmp_path, sys.executable, "-c", "import time; time.sleep(1000)")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_read_boot_id", lambda: "another boot")
        patch.setattr(module, "is_any_of", lambda *_: False)
        found = find_program(tmp_path)
        assert not found.is_running and not found.has_finished
        found.end()
    assert program.is_running
    program.end()


def test_how_a_process_of_another_machine_ended_is_not_known(tmp_path, monkeypatch):
    remember_program(find_process(os.getpid()), tmp_path)
    assert find_program(tmp_path).is_running
    monkeypatch.setattr(module.socket, "gethostname", lambda: "another-name")
    assert find_program(tmp_path).is_running, "only its machine has another name"
    monkeypatch.setattr(module, "_read_boot_id", lambda: "another boot")
    assert find_program(tmp_path) is None


def test_a_container_is_a_machine_of_its_own(tmp_path):
    print_id = "from tune_jobs.programs.process import identify_machine; print(identify_machine())"
    words = [sys.executable, "-c", print_id]
    space = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*space, "true"], check=False).returncode:
        pytest.skip("no process namespaces on this machine")
    here, inside = (subprocess.check_output([*p, *words], text=True) for p in ([], space))
    assert here.strip() == module.identify_machine() != inside.strip()


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_how_long_a_program_ran_is_read_on_one_clock(tmp_path, ahead_s):
    program = start(tmp_path)
    wait_until(lambda: program.exit_status is not None)
    for name in (STATUS, START):
        at = (tmp_path / name).stat().st_mtime + ahead_s
        os.utime(tmp_path / name, (at, at))
    assert 0 <= program.ended - program.started < 600
