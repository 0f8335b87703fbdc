# pyright: basic
"""Is it a bug or the settings? What the other trials of a sweep say."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.recorder import Recorder
from tune_jobs.run_log.cross_trial import Sibling, compare_trials_on_all_symptoms
from tune_jobs.run_log.events import EventLog, FindingRow, JobRow, TrialRow, read_event_log
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.schedulers.asha import RecordedASHA


def trials(*found, iterations=20, **settings):
    """Trials of 20 iterations; each with a symptom found at this iteration, or None."""
    return [
        Sibling(
            f"{i:02d}",
            iterations,
            {} if at is None else {"kl_runaway": at},
            {name: values[i] for name, values in settings.items()},
        )
        for i, at in enumerate(found)
    ]


def said(siblings):
    return compare_trials_on_all_symptoms(siblings).get("kl_runaway", "")


def test_a_symptom_of_all_points_at_what_they_share():
    assert said(trials(5, 9, 12)).startswith("all 3 trials that came as far: suspect the env")


def test_a_symptom_of_one_points_at_the_setting_that_sets_it_apart():
    lr, clip = [1e-3, 0.05, 2e-4, 3e-4], [0.1, 0.2, 0.3, 0.2]
    assert said(trials(None, 5, None, None, lr=lr, clip=clip)) == (
        "only trial 01 of 4: suspect its setting (its lr=0.05 is the highest)"
    )
    assert said(trials(None, 5, None, None, clip=clip)) == (
        "only trial 01 of 4: suspect its setting"
    )
    layers = ["tanh", "relu", "tanh", "tanh"]
    assert "(its activation=relu is no other's)" in said(
        trials(None, 5, None, None, activation=layers)
    )


def test_a_symptom_of_some_is_counted_and_told_by_the_setting_they_have_in_common():
    lr = [1e-3, 0.05, 2e-4, 0.01, 3e-4]
    found = trials(None, 5, None, 7, None, lr=lr)
    assert said(found) == "2 of 5 trials (01, 03): those of the highest lr (0.01 or more)"
    assert said(trials(5, None, None, 7, None, lr=lr)) == "2 of 5 trials (00, 03)"


def test_a_trial_that_ended_before_the_symptom_could_show_says_nothing():
    short = [replace(t, iterations=3) for t in trials(None, None, None, None)]
    assert said([*trials(9), *short]) == ""
    grown = trials(None, None, None)
    assert said([*trials(9), *short[:1], *grown[1:]]).startswith("only trial 00 of 3")


def test_fewer_than_three_trials_conclude_nothing():
    assert said(trials(5, 5)) == "" == said(trials(5, None))
    assert compare_trials_on_all_symptoms([]) == {}


@pytest.fixture
def sweep(tmp_path):
    """A recorder over trials that are given their metrics by hand, one iteration at a time."""

    class Sweep:
        def __init__(self, settings, earlier=(), **changed):
            self.job = replace(
                load_job("cartpole"), mode="max", metric="return_mean", iterations=40, **changed
            )
            drawn = [TrialRow(trial=f"{i:02d}", config=s) for i, s in enumerate(settings)]
            asha = RecordedASHA([])
            self.rows = [
                JobRow(run="x", env="e", algo="ppo", metric="return_mean", mode="max",
                       iterations=40, trials=len(drawn)), *drawn
            ]  # fmt: skip
            log = EventLog(tmp_path / "events.jsonl")
            for row in self.rows:
                log.append(row)
            self.recorder = Recorder(
                self.job, tmp_path, asha, self.rows.append, [*self.rows, *earlier]
            )

        def report(self, trial, iteration, score=0.0, **metrics):
            metrics = {"return_mean": score} | metrics
            told = {"trial": trial, "iteration": iteration, "score": score, "fault": ""}
            told |= {"trained_s": 1.0, "metrics": json.dumps(metrics)}
            stopped = self.recorder(trial, told)
            self.recorder.on_trial_result(iteration, [], None, told)
            return stopped

        def findings(self, symptom):
            return [r for r in self.rows if isinstance(r, FindingRow) and r.symptom == symptom]

    return Sweep


NAN = {"nonfinite": 3.0, "nonfinite_where": "loss"}


def test_a_live_sweep_says_with_each_finding_and_at_its_end_what_it_points_at(sweep, tmp_path):
    live = sweep([{"lr": 1e-3}, {"lr": 2e-3}, {"lr": 0.5}])
    for trial in ("00", "01"):
        for i in range(1, 5):
            live.report(trial, i, score=i)
    assert not live.report("02", 1, score=1.0)
    assert live.report("02", 2, score=1.0, **NAN)
    (found,) = live.findings("not_finite")
    assert found.siblings == ("only trial 02 of 3: suspect its setting (its lr=0.5 is the highest)")
    outcome = Outcome.from_rows(read_event_log(tmp_path / "events.jsonl"))
    assert outcome.siblings == {"not_finite": found.siblings}
    assert outcome.as_dict()["siblings"] == outcome.siblings
    assert found.siblings in outcome.trials[2].status_text


def test_the_end_knows_more_than_the_first_finding_could(sweep, tmp_path):
    live = sweep([{"lr": 1e-3}, {"lr": 2e-3}, {"lr": 0.5}])
    for trial in ("00", "01", "02"):
        live.report(trial, 1, **NAN)
    said = [row.siblings for row in live.findings("not_finite")]
    assert said[:2] == ["", ""] and said[2].startswith("all 3 trials")
    assert (
        Outcome.from_rows(read_event_log(tmp_path / "events.jsonl")).siblings["not_finite"]
        == said[2]
    )


def plateau(sweep, share=1.0, paid=0.0, trials=3, **job):
    """The iteration at which each trial is stopped when no step of any pays, trial by trial."""
    live = sweep([{"lr": 1e-3 * (i + 1)} for i in range(trials)], **job)
    ends = {}
    for trial in (f"{i:02d}" for i in range(trials)):
        for i in range(1, 41):
            told = {"zero_reward_fraction": share, "reward_abs_max": paid, "episodes": 40}
            told |= {"rewarded_episode_fraction": 0.0}  # what was paid, if at all, came too late
            if live.report(trial, i, **told, episode_length=20.0):
                ends[trial] = i
                break
    return live, ends


def test_no_reward_in_any_of_three_trials_ends_them_before_two_fifths_of_the_budget(sweep):
    live, ends = plateau(sweep, trials=4)
    # The first two wait for half of their 40 iterations; with the third it is a common fault.
    assert ends == {"00": 21, "01": 21, "02": 8, "03": 8}
    row = live.findings("zero_reward")[-1]
    assert row.severity == "stop" and row.siblings.startswith("all 4 trials")


def test_one_rewarded_step_anywhere_gives_every_trial_its_usual_time(sweep):
    _, ends = plateau(sweep, paid=1.0, share=0.99)
    assert set(ends.values()) == {21}


def test_a_job_that_lets_zero_reward_only_warn_is_obeyed(sweep):
    health = {"zero_reward": "warn", "no_improvement": "off", "constant_reward": "off"}
    _, ends = plateau(sweep, health=health)
    assert set(ends.values()) == {40}


def test_findings_of_an_older_log_are_read(tmp_path):
    line = (
        '{"kind": "finding", "trial": "00", "iteration": 3, "symptom": "hung", "severity": "warn", '
        '"since": 3, "evidence": "e", "remedy": "r", "time": 1.0}\n'
    )
    (tmp_path / "events.jsonl").write_text(line)
    row: Any = read_event_log(tmp_path / "events.jsonl")[0]
    assert row.siblings == ""
