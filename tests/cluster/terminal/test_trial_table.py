# pyright: basic
"""The table of trials in the terminal."""

from terminal_screens import JOB, rows_of

from cluster.terminal.trial_table import choose_visible_trials
from rungwise.run_log.outcome import Outcome


def test_a_small_screen_shows_running_best_and_latest_trials():
    shown = choose_visible_trials(Outcome.from_rows([JOB, *rows_of()]), 3)
    assert [trial.id for trial in shown] == ["00", "02", "11"]
