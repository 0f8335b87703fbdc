# pyright: basic
"""A training judged while it runs: findings as of a trial, and no error whatever it measures."""

import logging
import math
import pickle
import time
from fractions import Fraction

import numpy as np
import pytest
import torch

from rungwise.judging import run_judge
from rungwise.judging.watch import TimeLimit, Watch
from rungwise.validation import InputError


def make(**options):
    """A watch that judges every row, whatever time that takes."""
    return Watch(time_limit=TimeLimit(fraction=1.0), **options)


def make_row(i, score, **changed):
    """The i-th row of 100 steps, as SB3 logs it."""
    return {
        "eval/mean_reward": score,
        "time/total_timesteps": 100 * i,
        "train/approx_kl": 0.01,
        "train/value_loss": 5.0,
        **changed,
    }


def feed(watch, scores, start=1):
    """Feed a row for each score; return how many there were before the end."""
    for i, score in enumerate(scores, start):
        watch.feed(make_row(i, score))
        if watch.should_stop:
            return i
    return start + len(scores) - 1


def flat(rows):
    return np.random.default_rng(0).normal(20, 2, rows)


def rising(rows):
    return flat(rows) + np.linspace(0, 100, rows)


def test_a_healthy_training_passes_untouched(caplog):
    watch = make(budget=10_000)
    assert feed(watch, rising(100)[:7]) == 7 and watch.verdict == "too_short"
    assert feed(watch, rising(100)[7:], start=8) == 100
    assert watch.verdict == "healthy" and watch.stop is None and not caplog.records
    assert "no_improvement" in watch.diagnosis.judged and "kl_runaway" in watch.diagnosis.judged


@pytest.mark.parametrize("nan", [math.nan, np.float32("nan"), torch.tensor(math.nan)])
def test_nan_ends_a_training_and_is_logged_once_with_a_remedy(nan, caplog):
    watch = make()
    feed(watch, rising(5))
    watch.feed(make_row(6, 30.0, **{"train/value_loss": nan}))
    finding = watch.stop
    assert watch.should_stop and watch.verdict == "stop"
    assert finding and (finding.symptom, finding.since) == ("not_finite", 6)
    watch.feed(make_row(7, nan))
    watch.judge()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rungwise", logging.WARNING)
    assert "not_finite ends the training" in record.message and finding.remedy in record.message


def test_a_watch_that_does_not_stop_only_warns(caplog):
    watch = make(stops=False)
    watch.feed(make_row(1, math.inf))
    assert not watch.should_stop and watch.stop and watch.stop.symptom == "not_finite"
    assert "not_finite (stop)" in caplog.text


def test_a_symptom_that_is_off_is_not_judged():
    watch = make(health={"not_finite": "off"})
    watch.feed(make_row(1, math.nan))
    assert watch.verdict == "too_short" and "not_finite" not in watch.diagnosis.judged


def test_a_training_without_gain_ends_only_where_its_budget_is_known():
    fading = flat(50) * 1e-3 + np.linspace(21.0, 20.9, 50)
    fading[-10:] += 0.05  # in a dip it would not be ended
    assert feed(make(), np.tile(fading, 2)) == 100  # of unknown length: half of it may be left
    short = make(budget=5000)
    assert 40 <= feed(short, fading) < 50
    assert short.stop and short.stop.symptom == "no_improvement"
    by_rows = make(budget=50, progress="row", metric="profit", rename={"r": "kl"})
    for i, score in enumerate(fading, 1):
        by_rows.feed({"row": i, "profit": score, "r": 0.01})
    assert by_rows.stop and by_rows.stop.symptom == "no_improvement"


def test_a_careful_watch_ends_nothing_by_a_rule_that_is_not_proven():
    watch = make(max_wrong=0.0)
    watch.feed(make_row(1, 1.0))
    watch.feed(make_row(2, math.inf))
    assert watch.verdict == "warn" and not watch.should_stop
    with pytest.raises(InputError, match="max_wrong"):
        make(max_wrong=-1.0)


def test_a_resumed_training_is_not_judged_by_its_whole_budget():
    assert feed(make(budget=12_000), flat(60), start=61) == 120


def test_a_score_may_be_to_minimise():
    watch = make(budget=10_000, metric="eval/mean_reward", mode="min")
    assert feed(watch, -rising(100)) == 100 and watch.verdict == "healthy"


def test_a_budget_of_few_rows_ends_nothing_that_can_recover():
    watch = make(budget=1000)
    assert feed(watch, flat(10)) == 10 and watch.stop is None


def test_values_that_are_no_numbers_are_left_out_with_a_warning(caplog):
    watch = make()
    for i, score in enumerate(rising(20), 1):
        bad = {"train/approx_kl": "high", "host": "a", "done": True, "grad_norm": np.ones(3)}
        tensors = {"eval/mean_reward": torch.tensor([score]), "train/value_loss": np.float32(1)}
        watch.feed({**make_row(i, 0.0, **bad, **tensors), "nested": {"entropy": None}})
    assert watch.verdict == "healthy" and "kl_runaway" in watch.diagnosis.not_judged
    assert [r.message for r in caplog.records if "host" in r.message or "done" in r.message] == []
    assert "train/approx_kl is 'high', which is not a number" in caplog.text
    assert len(caplog.records) == 2  # of a name once


def test_a_rule_that_raises_leaves_no_row_behind(monkeypatch):
    judged, sound = [], run_judge.History
    watch, calls = make(budget=100_000), iter(range(1000))

    def make_history(rows, *args, **options):
        judged.append(len(rows))
        if next(calls) % 2:
            raise ZeroDivisionError
        return sound(rows, *args, **options)

    monkeypatch.setattr(run_judge, "History", make_history)
    feed(watch, rising(40))
    # Two rows are one part of the budget: the last one counts while it is not complete.
    assert judged == [(number + 1) // 2 for number in range(1, 41)]


def test_nothing_is_raised_whatever_is_fed(caplog, monkeypatch):
    watch = make()
    watch.feed(None)  # pyright: ignore[reportArgumentType]
    assert "could not be judged" in caplog.text
    monkeypatch.setattr(run_judge, "diagnose", lambda *_: 1 / 0)
    sound = make()
    feed(sound, rising(3))
    assert sound.verdict == "too_short" and len(caplog.records) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"health": {"kl_runway": "warn"}}, "did you mean kl_runaway"),
        ({"health": {"kl_runaway": "end"}}, "kl_runaway"),
        ({"mode": "most"}, "mode"),
        ({"budget": -1}, "budget must be at least 0"),
        ({"budget": "1e6"}, "budget must be a number"),
        ({"budget": math.inf}, "budget must be a finite number"),
        ({"rename": {"profit": "return_men"}}, "did you mean return_mean"),
    ],
)
def test_wrong_options_are_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        Watch(**options)


@pytest.mark.parametrize("budget", [np.int64(5000), np.float32(5000), Fraction(10_000, 2)])
def test_a_budget_is_a_real_number_of_any_type(budget):
    assert Watch(budget=budget)._run.log.budget == 5000


def test_a_progress_that_no_row_has_is_warned_of(caplog):
    watch = make(budget=100, progress="time/total_timestep")
    assert feed(watch, rising(50)) == 50
    assert "did you mean time/total_timesteps" in caplog.text and len(caplog.records) == 1


def test_a_score_that_no_row_has_is_warned_of(caplog):
    watch = make()
    for i in range(20):
        watch.feed({"alpha": 1.0, "profit": float(i), "approx_kl": 0.01})
    assert "no return_mean" in caplog.text and "metric (profit?)" in caplog.text
    assert len(caplog.records) == 1


def test_a_score_that_is_known_by_its_words_is_told_once(caplog):
    watch = make()
    for i in range(20):
        watch.feed({"alpha": 1.0, "my_reward": float(i), "approx_kl": 0.01})
    (record,) = caplog.records
    assert "my_reward is taken for the return" in record.getMessage()


def test_rows_without_any_known_name_are_warned_of(caplog):
    watch = make(metric="quality")
    for i in range(20):
        watch.feed({"quality": i, "at": i})
    assert len(caplog.records) == 1 and "by a name that is known (at, quality)" in caplog.text
    named = make(rename={"quality": "return_mean"})
    for i in range(20):
        named.feed({"quality": i, "at": i})
    assert len(caplog.records) == 1 and named._run.rows == 19


def test_judging_waits_until_it_has_time_again(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    limit = TimeLimit(start=0.0, spent_s=1.0)
    watch, other = Watch(time_limit=limit), Watch(time_limit=limit)
    clock[0] = 99.0
    feed(watch, [math.inf])
    feed(other, [math.inf])
    assert watch.stop is other.stop is None
    clock[0] = 120.0
    feed(watch, rising(2), start=2)
    assert watch.stop and watch.stop.since == 1
    other.judge()  # now, at the end of a training
    assert other.stop


def test_a_long_training_is_judged_by_a_bounded_number_of_rows():
    watch = Watch(budget=600_000, time_limit=TimeLimit(start=time.time(), spent_s=1e9))
    scores = rising(6000)
    for first in range(0, 6000, 200):
        feed(watch, scores[first : first + 200], start=first + 1)
        watch.judge()
    assert watch.verdict == "healthy" and len(watch._run._table) == run_judge.PARTS - 1
    watch.feed(make_row(6001, 5.0, **{"train/value_loss": math.nan}))
    watch.judge()
    assert watch.stop and watch.stop.since == 6001  # as the script counts its rows


def test_a_watch_can_be_pickled():
    watch = pickle.loads(pickle.dumps(make(budget=10_000)))
    assert feed(watch, rising(20)) == 20 and watch.verdict == "healthy"


@pytest.mark.parametrize("back_s", [500.0, 5000.0])
def test_a_clock_that_is_set_back_stops_no_judging(monkeypatch, back_s):
    clock = [10_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    limit = TimeLimit(start=clock[0])
    clock[0] += 1000.0
    assert limit.allows_more
    limit.spent_s = 9.0
    clock[0] -= back_s
    assert limit.allows_more, "as long as before"
    limit.spent_s = 11.0
    clock[0] += 50.0
    assert not limit.allows_more
    clock[0] += 60.0
    assert limit.allows_more
