# pyright: basic, reportOptionalMemberAccess=false
"""SIGTERM does what Ctrl-C does, with an exit status of its own."""

import os
import signal
import subprocess
import sys

import pytest

# A command in the place of `rungwise envs`: what it does is in COMMAND.
STUB = """
import sys, time
from pathlib import Path
from cluster import cli
from rungwise import interruption
from cluster.commands.listings import Envs
from cluster.errors import RunInterrupted
def ready():
    print("ready", flush=True)
def stub(self, console):
{command}
Envs.__call__ = stub
cli.main(["envs"])
"""
WAITS = """
    ready()
    while True:  # a signal just before a sleep is handled only after it
        time.sleep(0.05)
"""
ENDS_ITS_RUN = """
    try:
        ready()
        while True:
            time.sleep(0.05)
    except KeyboardInterrupt:
        raise RunInterrupted({}, Path("runs/a")) from None
"""
STUCK = """
    import signal
    signal.signal(signal.SIGINT, lambda *_: None)  # as a call that no handler can leave
    signal.signal(signal.SIGTERM, lambda *_: None)  # as Ray while it starts
    interruption.GRACE_S = .2
    with interruption.run_last_words(lambda: print("last words", file=sys.stderr, flush=True)):
        ready()
        while True:
            time.sleep(10)
"""
TAKES_CTRL_C = """
    import signal
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))  # as Tune does
    ready()
    while not seen:
        time.sleep(0.01)
    raise RunInterrupted({}, Path("runs/a"))
"""
AS_RAY_HAS_STARTED = """
    import os, ray, signal
    from tune_jobs.ray_session import ray_session
    restore = signal.signal
    def signal_arrives_first(number, handler):
        os.kill(os.getpid(), signal.SIGTERM)
        return restore(number, handler)
    def init(**_):  # leaves a handler of its own, as Ray does
        restore(signal.SIGTERM, lambda number, _: sys.exit(number))
        signal.signal = signal_arrives_first
    ray.init = init
    ready()
    with ray_session():
        pass
"""


def stopped(command, how, ignored=False):
    """Its exit status and stderr, a signal after it is ready."""
    # A shell script starts what it puts into the background with Ctrl-C ignored.
    # The tests themselves may be such a job, so the other case is set, too.
    ctrl_c = signal.SIG_IGN if ignored else signal.SIG_DFL
    process = subprocess.Popen(
        [sys.executable, "-c", STUB.replace("{command}", command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, ctrl_c),
    )
    process.stdout.readline()
    os.kill(process.pid, how)
    _, errors = process.communicate()
    return process.returncode, errors


@pytest.mark.parametrize("command", [WAITS, ENDS_ITS_RUN, TAKES_CTRL_C])
@pytest.mark.parametrize(("how", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_both_signals_end_a_command_alike(command, how, status):
    returned, errors = stopped(command, how)
    assert returned == status and "Traceback" not in errors
    if command != WAITS:
        assert "`rungwise resume runs/a`" in errors


def test_stuck_command_is_ended_in_time_with_its_message():
    assert stopped(STUCK, signal.SIGTERM) == (143, "last words\n")


def test_sigterm_ends_a_background_job_that_ignores_ctrl_c():
    assert stopped(WAITS, signal.SIGTERM, ignored=True)[0] == 143


def test_sigterm_before_rays_handler_is_replaced_counts():
    assert stopped(AS_RAY_HAS_STARTED, 0)[0] == 143  # signal 0 sends nothing
