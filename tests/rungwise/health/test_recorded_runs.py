# pyright: basic
"""No rule ends a recorded run that learns later, and no rule is blind to the recordings."""

from dataclasses import fields

import pytest
from benchmarks.recorded_runs import ARCHIVE, judged, recordings, summary

from algos.ppo import PPOSettings
from rungwise.metrics import METRICS

pytestmark = pytest.mark.system

LATE = ("pendulum-1", "pendulum-3", "pendulum-4", "bipedal-1", "guess-slow", "guess-five")
"""Runs with dips, late starts or rare rewards, which earlier versions of the rules stopped."""
WARNED = {*LATE} - {"pendulum-4"}
"""Those that a rule still doubts: `pendulum-4` learns before its value function is judged."""


@pytest.fixture(scope="module")
def verdicts():
    return [judged(recording) for recording in recordings()]


def test_no_recorded_run_that_learns_is_stopped(verdicts):
    figures = summary(verdicts)
    assert figures["runs"] == 46
    assert figures["healthy"] == 41
    assert figures["false_stops"] == 0
    assert figures["warned"] <= 10


def test_rare_rewards_that_are_enough_to_learn_from_are_no_warning(verdicts):
    # One episode in six is rewarded by chance (guess), or a few percent are (FrozenLake).
    assert not [v.recording.name for v in verdicts if "zero_reward" in v.warned]


def test_recorded_columns_are_known_metrics():
    # A metric renamed in the code but not in the archive would silence its rules here.
    names = {name for recording in recordings() for row in recording.rows for name in row}
    assert names <= {*METRICS, "iteration", "score"}


def test_recorded_settings_are_settings_of_ppo():
    names = {name for recording in recordings() for name in recording.settings}
    names -= {"kl_target", "pipeline"}  # which are no settings any more
    assert names <= {field.name for field in fields(PPOSettings)}


def test_dips_late_starts_and_rare_rewards_are_among_them(verdicts):
    by_name = {v.recording.name: v for v in verdicts}
    assert all(by_name[name].recording.learnt for name in LATE)
    assert {name for name in LATE if by_name[name].warned} == WARNED


def test_the_archive_is_small():
    assert ARCHIVE.stat().st_size < 300 * 1024
