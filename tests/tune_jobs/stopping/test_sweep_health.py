# pyright: basic
"""The health of a sweep: what the trials of a live run show about each other."""

from dataclasses import replace

import pytest
from health_runs import flat, make_rows, rising
from sessions import get_end, make_result, make_session
from synthetic_sweep import finding, job_row

from rungwise.health import Finding
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import FindingRow, TrialRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.stop_requests import request_stop
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.stopping.sweep_health import SweepHealth


@pytest.fixture
def sweep(tmp_path):
    """A recorder over trials that are given their metrics by hand, one iteration at a time."""

    class Sweep:
        def __init__(self, configs, **changed):
            trials = [TrialRow(trial=f"{i:02d}", config=c) for i, c in enumerate(configs)]
            self.rows = [job_row(mode="max", trials=len(trials)), *trials]
            log = EventLog(tmp_path / "events.jsonl")
            for row in self.rows:
                log.append(row)
            earlier = list(self.rows)
            self.stopper = make_session(
                tmp_path, self.rows.append, earlier, iterations=40, **changed
            ).stopper

        def report(self, trial, iteration, score=0.0, **metrics):
            result = make_result(trial, iteration, score, {"return_mean": score} | metrics)
            return self.stopper(trial, result)

        def findings(self, symptom):
            return [r for r in self.rows if isinstance(r, FindingRow) and r.symptom == symptom]

    return Sweep


NAN = {"nonfinite": 3.0, "nonfinite_where": "loss"}


def test_each_finding_comes_with_a_comparison_of_trials(sweep, tmp_path):
    live = sweep([{"lr": 1e-3}, {"lr": 2e-3}, {"lr": 0.5}])
    for trial in ("00", "01"):
        for i in range(1, 5):
            live.report(trial, i, score=i)
    assert not live.report("02", 1, score=1.0)
    assert live.report("02", 2, score=1.0, **NAN)
    (found,) = live.findings("not_finite")
    assert found.siblings == (
        "only trial 02 of 3: perhaps by its setting (its lr=0.5 is the highest) or its seed"
    )
    outcome = Outcome.from_rows(read_event_log(tmp_path / "events.jsonl"))
    assert outcome.siblings == {"not_finite": found.siblings}
    assert outcome.as_dict()["siblings"] == outcome.siblings
    assert found.siblings in outcome.trials[2].status_text


def test_a_trial_of_rllib_is_judged_with_its_own_settings(sweep):
    settings = RLlibSettings({"lr": 0.1, "train_batch_size_per_learner": 8})
    live = sweep([{"lr": 1e-3}], algo="rllib/DQN", settings=settings, search={}, trials=1)
    assert live.report("00", 1, **NAN)
    (found,) = live.findings("not_finite")
    assert "train_batch" not in found.remedy and "`lr`" in found.remedy
    assert live.stopper.sweep._describe_settings("00")[1].values["lr"] == 1e-3


def test_later_comparisons_know_more_trials(sweep, tmp_path):
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


def test_zero_reward_in_all_of_three_trials_ends_them_early(sweep):
    live, ends = plateau(sweep, trials=4)
    # The first two wait for half of their 40 iterations; with the third it is a common fault.
    assert ends == {"00": 21, "01": 21, "02": 8, "03": 8}
    row = live.findings("zero_reward")[-1]
    assert row.severity == "stop" and row.siblings.startswith("all 4 trials")


def test_one_reward_in_the_sweep_gives_every_trial_its_time(sweep):
    _, ends = plateau(sweep, paid=1.0, share=0.99)
    assert set(ends.values()) == {21}


@pytest.mark.parametrize(("iterations", "severity"), [(12, "warn"), (40, "stop")])
def test_zero_reward_of_all_trials_ends_none_of_a_run_too_short_to_judge(iterations, severity):
    health = SweepHealth(job_of(iterations))
    nothing = {"zero_reward_fraction": 1.0, "rewarded_episode_fraction": 0.0, "reward_abs_max": 0.0}
    for trial in ("00", "01", "02"):
        for i in range(1, 9):
            told = nothing | {"return_mean": 0.0, "episodes": 40, "episode_length": 20.0}
            health.add_result(trial, i, 0, told)
            findings, _ = health.judge(trial)
    assert [f.severity for f in findings if f.symptom == "zero_reward"] == [severity]


def test_zero_reward_limited_to_a_warning_stops_no_trial(sweep):
    health = {"zero_reward": "warn", "no_improvement": "off", "constant_reward": "off"}
    _, ends = plateau(sweep, health=health)
    assert set(ends.values()) == {40}


def test_zero_reward_is_withdrawn_from_each_trial_that_is_paid_at_last(sweep):
    live = sweep([{"lr": 1e-3}, {"lr": 2e-3}])
    for i in range(1, 41):
        for trial, last in (("00", 1.0), ("01", 0.0)):
            paid = last if i > 15 else 0.0
            told = {"zero_reward_fraction": 1 - paid / 7, "rewarded_episode_fraction": paid}
            told |= {"reward_abs_max": 1.0, "episodes": 40, "episode_length": 7.0}
            live.report(trial, i, score=paid, **told)
    found = [(row.trial, bool(row.withdrawn)) for row in live.findings("zero_reward")]
    assert found[:3] == [("00", False), ("01", False), ("00", True)]
    assert ("01", True) not in found


FAILED = {"v_star_starts": 64, "v_star_starts_left": 100, "v_star_failed_fraction": 1.0}


def test_stage_1_is_judged_while_it_runs_and_is_no_iteration(sweep):
    live = sweep([{}])
    for done in (8, 64, 128):
        assert not live.stopper("00", make_result("00", 0, None, FAILED | {"v_star_starts": done}))
    (found,) = live.findings("v_star_without_success")
    assert (found.iteration, found.since, found.severity) == (0, 0, "warn")
    assert len(live.stopper.sweep.get_history("00")) == 1, "the latest progress only"
    live.report("00", 1, score=1.0, **FAILED)
    live.report("00", 2, score=1.0)
    assert live.stopper.sweep.get_history("00").column("iteration").tolist() == [1, 2]


def test_stage_1_counts_as_no_reward_of_the_sweep(sweep):
    live = sweep([{}])
    live.stopper("00", make_result("00", 0, None, FAILED))
    assert not live.stopper.sweep._any_reward_seen
    live.report("00", 1, reward_abs_max=1.0)
    assert live.stopper.sweep._any_reward_seen


def test_a_stop_request_ends_a_trial_in_stage_1(sweep, tmp_path):
    live = sweep([{}])
    request_stop(tmp_path, "00")
    assert live.stopper("00", make_result("00", 0, None, FAILED))
    assert get_end(live.rows) == (0, "stopped")


def job_of(iterations):
    return Job(env="CartPole-v1", metric="return_mean", mode="max", iterations=iterations)


CLIPPED = finding("00", "gradients_always_clipped")


def test_a_finding_is_reported_once_until_it_is_withdrawn():
    job = job_of(40)
    warning = Finding(CLIPPED.symptom, "warn", 3, "")
    earlier = (CLIPPED, replace(CLIPPED, trial="01"), replace(CLIPPED, trial="01", withdrawn=12))
    health = SweepHealth(job, earlier)
    assert not health.register_new_findings("00", 10, [warning])
    assert health.register_new_findings("01", 13, [warning])
    assert health.register_new_findings("00", 10, [replace(warning, severity="stop")]), "worse"


def test_what_the_history_disproves_is_withdrawn_at_its_end():
    job = job_of(40)
    health = SweepHealth(job, [CLIPPED])
    rows = make_rows(40, return_mean=rising(40), grad_clip_fraction=0.0, episodes=20)
    for trial in ("00", "01"):
        for row in rows:
            health.add_result(trial, row["iteration"], 0, row)
    (row,) = health.judge("00")[1]
    assert (row.symptom, row.withdrawn, row.iteration) == (CLIPPED.symptom, 40, 9)
    assert health.judge("01")[1] == []


def test_a_trial_that_ends_before_its_budget_is_judged_once_more():
    """At a rung, say: no later check could withdraw what was found in one of the last few."""
    health = SweepHealth(job_of(100), [replace(CLIPPED, symptom="no_improvement", iteration=40)])
    scores = [*flat(45, 0.0, 0.3), 20.0, 40.0, 60.0]
    rows = make_rows(48, return_mean=scores, return_std=40.0, episodes=20)
    for i, row in enumerate(rows, 1):
        health.add_result("00", i, 0, row)
    assert health.judge("00")[1] == []
    (row,) = health.judge_end("00")
    assert (row.symptom, row.withdrawn) == ("no_improvement", 48)
    assert health.judge_end("00") == []
