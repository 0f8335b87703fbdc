# pyright: basic
"""A finding that the run disproves is withdrawn, and shown as such."""

from dataclasses import replace

import numpy as np
import pytest
from sessions import make_result, make_session
from synthetic_sweep import finding

from cluster.pages.events_tab import list_events
from rungwise.health import RULES, History, diagnose
from rungwise.health.diagnosis import find_disproved
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import FindingRow, JobRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.report import _finding

SYMPTOM = "gradients_always_clipped"
LEARNS_LATE = [-500.0] * 20 + np.linspace(-480, -100, 20).tolist()


def rows(n, clipped=1.0):
    return [
        {"iteration": i + 1, "score": LEARNS_LATE[i], "episodes": 20, "grad_clip_fraction": clipped}
        for i in range(n)
    ]


def test_a_finding_the_score_has_disproved_is_withdrawn():
    gone = [n for n in range(1, 41) if find_disproved([(SYMPTOM, "note")], History(rows(n), 40))]
    assert gone == list(range(gone[0], 41))
    first = next(n for n in range(21, 41) if History(rows(n), 40).progress.improved)
    assert gone[0] == first + RULES[SYMPTOM].silent_checks - 1


def test_without_an_improved_score_nothing_is_withdrawn():
    assert not find_disproved([(SYMPTOM, "note")], History(rows(20, clipped=0.0), 40))


def test_a_lost_worker_is_not_undone_by_a_rising_score():
    lost = [row | {"runners_lost": float(i == 5)} for i, row in enumerate(rows(40))]
    assert not find_disproved([("hung", "warn")], History(lost, 40))


def test_a_beaten_best_withdraws_that_it_stands_though_the_score_has_not_improved():
    noise = np.random.default_rng(0).normal(0, 0.3, 60)
    flat, higher = noise[:45], noise[45:] + 1.0
    run = [
        {"iteration": i, "score": float(s), "episodes": 20}
        for i, s in enumerate([*flat, *higher], 1)
    ]
    assert "no_improvement" in {f.symptom for f in diagnose(History(run[:45], 100)).findings}
    assert not find_disproved([("no_improvement", "note")], History(run[:45], 100))
    later = [
        n
        for n in range(46, 61)
        if find_disproved([("no_improvement", "note")], History(run[:n], 100))
    ]
    assert later and not History(run[: later[0]], 100).progress.improved


def test_the_last_check_withdraws_what_no_later_one_could():
    noise = np.random.default_rng(0).normal(0, 0.3, 36)
    scores = [*noise, 1.5, 1.6, 1.7, 1.8]
    run = [{"iteration": i, "score": s, "episodes": 20} for i, s in enumerate(scores, 1)]
    assert "no_improvement" in {f.symptom for f in diagnose(History(run[:36], 40)).findings}
    assert find_disproved([("no_improvement", "warn")], History(run, 40)) == [
        ("no_improvement", "warn")
    ]
    # With more to come, the same rows are too few to say so.
    assert not find_disproved([("no_improvement", "note")], History(run, 41))


def test_an_episode_that_ends_after_all_withdraws_that_none_does():
    never = {"env_steps": 2048.0, "episodes": 0.0, "running_length_max": 3000.0}
    run = [never | {"iteration": i, "env_steps": 2048.0 * i} for i in range(1, 15)]
    assert "no_episode_ends" in {finding.symptom for finding in diagnose(History(run, 40)).findings}
    assert not find_disproved([("no_episode_ends", "warn")], History(run, 40))
    # Episodes of all copies end together, and no others in the rest of the run.
    run.append({"iteration": 15, "env_steps": 2048.0 * 15, "episodes": 8.0, "score": -3.0})
    assert find_disproved([("no_episode_ends", "warn")], History(run, 40)) == [
        ("no_episode_ends", "warn")
    ]


@pytest.fixture
def log(tmp_path):
    """The event log of a trial that is clipped, and learns late."""
    path = tmp_path / "events.jsonl"
    head = [
        JobRow(run="x", env="e", algo="ppo", metric="return_mean", mode="max", iterations=40,
               trials=1),
        TrialRow(trial="00", config={}),
    ]  # fmt: skip
    for row in head:
        EventLog(path).append(row)
    for part in (range(25), range(25, 40)):  # resumed in between
        earlier = read_event_log(path)
        stopper = make_session(tmp_path, earlier=earlier, iterations=40).stopper
        for i in part:
            metrics = {"episodes": 20, "grad_clip_fraction": 1.0, "return_mean": LEARNS_LATE[i]}
            stopper("00", make_result("00", i + 1, LEARNS_LATE[i], metrics))
    return path


def test_a_live_run_writes_the_finding_and_later_its_withdrawal(log):
    found = [r for r in read_event_log(log) if isinstance(r, FindingRow) and r.symptom == SYMPTOM]
    assert [bool(row.withdrawn) for row in found] == [False, True]
    assert 25 < found[1].withdrawn < 40
    assert found[1].iteration == found[0].iteration


def test_the_outcome_shows_a_withdrawn_finding_as_such(log):
    (trial,) = Outcome.from_rows(read_event_log(log)).trials
    (found,) = [row for row in trial.findings if row.symptom == SYMPTOM]
    assert found.withdrawn
    shown = _finding(found)
    assert '<b class="withdrawn">withdrawn</b>' in shown
    assert f"Withdrawn at iteration {found.withdrawn}" in shown
    assert found.remedy not in shown
    (event,) = list_events([found])
    assert not event["remedy"]


def test_a_withdrawn_warning_no_longer_stands_for_a_trial():
    warning = finding("00")
    job = JobRow(run="x", env="e", algo="ppo", metric="m", mode="max", iterations=9, trials=1)
    gone = replace(warning, withdrawn=12)
    standing, withdrawn, again = (
        Outcome.from_rows([job, TrialRow(trial="00", config={}), *found]).trials[0]
        for found in ([warning], [warning, gone], [warning, gone, warning])
    )
    assert standing.warning == again.warning == warning
    assert withdrawn.warning is None
    assert withdrawn.findings == (gone,)
