# pyright: basic
"""No rule ends a recorded run that goes on to learn, whatever it looks like on the way."""

import pytest
from benchmarks.recorded_runs import ARCHIVE, judged, recordings, summary

LATE = ("pendulum-1", "pendulum-3", "pendulum-4", "bipedal-1", "guess-slow", "guess-five")
"""What ends none of them now did: no_improvement in dips and late starts, zero_reward in guesses.
"""


@pytest.fixture(scope="module")
def verdicts():
    return [judged(recording) for recording in recordings()]


def test_no_recorded_run_that_learns_is_ended(verdicts):
    found = summary(verdicts)
    assert found["healthy"] >= 30
    assert found["false_stops"] == 0
    assert found["warned"] <= 0.4 * found["healthy"]


def test_dips_late_starts_and_rare_rewards_are_among_them(verdicts):
    by_name = {v.recording.name: v for v in verdicts}
    assert all(by_name[name].recording.learnt for name in LATE)
    assert all(by_name[name].warned for name in LATE)


def test_the_archive_is_small():
    assert ARCHIVE.stat().st_size < 300 * 1024
