# pyright: basic
"""The live table and the final one say what happens, on any terminal and for any values."""

from dataclasses import replace

import pytest
from rich.cells import cell_len
from terminal_screens import JOB, WHY, console, drawn, noticed, rows_of, written

from cluster.terminal.progress import (
    FINISH,
    LINE_INTERVAL_S,
    START_PROGRAM,
    START_TRIALS,
    ProgressDisplay,
)
from rungwise.run_log.evaluation_status import EvaluationStatus
from rungwise.run_log.events import PROGRAM, EndRow, JobEndRow, ResultRow


def test_without_a_terminal_each_end_is_a_line():
    out, now = console(terminal=False), [0.0]
    with ProgressDisplay(JOB, console=out, clock=lambda: now[0]) as progress:
        for row in rows_of():
            progress.update(row)
    first, *lines = written(out).splitlines()
    assert first == f"{START_TRIALS} ..." and len(lines) == 11
    assert lines[0] == "trial 00 9/9 excess risk 0.111 finished"
    assert lines[1] == "trial 01 2/9 excess risk not finite stopped: the loss is NaN"
    assert lines[2] == f"trial 03 3/9 excess risk 1.33 {WHY}"


def test_until_the_first_result_the_screen_says_what_is_being_done():
    screen, now = console(width=120), [0.0]
    progress = ProgressDisplay(JOB, console=screen, clock=lambda: now[0])
    now[0] = 23.0
    assert drawn(progress, screen)[-1].strip() == f"{START_TRIALS} (23 s)"
    row = ResultRow(trial="00", iteration=1, score=0.5, seconds=1.0, env_steps=9)
    progress.update(row)
    assert "0 of 12 ended" in drawn(progress, screen)[-1]
    program = ProgressDisplay(replace(JOB, algo=PROGRAM), console=screen)
    assert START_PROGRAM in drawn(program, screen)[-1]


def test_the_final_evaluation_says_what_is_played_and_for_how_long():
    screen, out, now = console(width=120), console(terminal=False), [0.0]
    displays = [ProgressDisplay(JOB, console=c, clock=lambda: now[0]) for c in (screen, out)]

    def show(row):
        for display in displays:
            display.update(row)
        return drawn(displays[0], screen)[-1].strip()

    now[0] = 100.0
    assert show(EvaluationStatus("03", "policy", 0, 12, activity="final 1 of 3")) == (
        "trial 03 final 1 of 3: policy 0 of 12 episodes (0 s)"
    )
    now[0] = 104.0
    last = show(EvaluationStatus("03", "policy", 9, 12, 50, "final 1 of 3"))
    assert last == "trial 03 final 1 of 3: policy 9 of 12 episodes, step 50 of the next (4 s)"
    assert show(EvaluationStatus("02", "greedy", 1, 12)) == (
        "trial 02 evaluating: most likely action 1 of 12 episodes (0 s)"
    )
    assert len(written(out).splitlines()) == 2
    show(JobEndRow(reason="done", seconds=104.0))
    now[0] = 107.0
    assert drawn(displays[0], screen)[-1].strip() == f"{FINISH} (3 s)"


ALONE = "only trial 02 of 12: perhaps by its setting (its lr=0.5 is the highest) or its seed"


def test_a_finding_names_the_other_trials_that_have_it():
    out = console(terminal=False)
    progress = ProgressDisplay(JOB, console=out, clock=lambda: 0.0)
    for row in [noticed("02", ALONE), noticed("03")]:
        progress.update(row)
    assert written(out).splitlines() == [
        f"trial 02 kl runaway ({ALONE}): KL 14",
        "trial 03 kl runaway: KL 14",
    ]
    screen = console(width=200)
    progress = ProgressDisplay(JOB, earlier=[*rows_of(), noticed("02", ALONE)], console=screen)
    assert any(f"running, kl runaway ({ALONE}" in line for line in drawn(progress, screen))


@pytest.mark.parametrize(("reason", "lines"), [("budget", 2), ("health", 1)])
def test_a_stop_that_ended_nothing_is_printed_at_the_end(reason, lines):
    out = console(terminal=False)
    progress = ProgressDisplay(JOB, console=out, clock=lambda: 0.0)
    progress.update(replace(noticed("02"), severity="stop"))
    progress.update(EndRow(trial="02", iteration=9, reason=reason, sentence="kl_runaway: KL 14"))
    written_lines = written(out).splitlines()
    assert len(written_lines) == lines
    assert (written_lines[-1] == "trial 02 kl runaway: KL 14") == (reason == "budget")


def test_without_a_terminal_there_is_a_summary_every_few_seconds():
    out, now = console(terminal=False), [0.0]
    progress = ProgressDisplay(JOB, console=out, clock=lambda: now[0])
    for row in rows_of(trials=1)[:-1]:
        now[0] += LINE_INTERVAL_S / 3
        progress.update(row)
    lines = written(out).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("0 of 12 ended · best 0.500 (trial 00)")


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_the_live_table_keeps_within_the_terminal(width):
    screen = console(width=width, height=10)
    progress = ProgressDisplay(JOB, console=screen)
    for row in rows_of():
        progress.update(row)
    lines = drawn(progress, screen)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 10
    if width >= 80:
        assert "11 of 12 ended" in lines[-1] and "compute saved" in lines[-1]
        assert any("running" in line for line in lines)


def test_a_live_terminal_is_drawn_and_left_clean():
    screen = console()
    with ProgressDisplay(JOB, console=screen) as progress:
        for row in rows_of():
            progress.update(row)
    assert "stopped at iteration" in written(screen)


def test_rows_before_a_resume_are_known_but_not_printed_again():
    out = console(terminal=False)
    progress = ProgressDisplay(JOB, earlier=[JOB, *rows_of(3)], console=out, clock=lambda: 0.0)
    progress.update(EndRow(trial="02", iteration=5, reason="asha", sentence=WHY))
    assert written(out).splitlines() == [f"trial 02 5/9 excess risk 0.600 {WHY}"]


def test_stage_1_is_shown_in_the_table_and_in_plain_lines():
    metrics = {"v_star_starts": 40, "v_star_starts_left": 60, "v_star_left_s": 240.0}
    row = ResultRow(trial="00", iteration=0, score=None, seconds=1.0, env_steps=9, metrics=metrics)
    out, screen = console(terminal=False), console(width=100)
    times = iter([0.0, *[LINE_INTERVAL_S] * 9])
    ProgressDisplay(JOB, console=out, clock=times.__next__).update(row)
    assert written(out).splitlines() == ["trial 00 V* of 40/100 starts, 4 min left"]
    progress = ProgressDisplay(JOB, console=screen)
    progress.update(row)
    assert any("V* of 40/100 starts, 4 min left" in line for line in drawn(progress, screen))
