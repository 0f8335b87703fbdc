# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportOperatorIssue=false
"""No trial is ended by a difference of at most one standard error, nor for a tie."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_sweep import result

from rungwise.run_log.events import EndRow
from rungwise.run_log.score_noise import NoiseSource
from tune_jobs.schedulers.rung import NOISE
from tune_jobs.schedulers.successive_halving import Bracket

EPISODES = 100
LEVELS = (1, 3)


def make_bracket(count, mode="max", factor=2, pauses=True):
    names = [f"{i:02d}" for i in range(count)]
    return Bracket(LEVELS, mode, factor, names, pauses=pauses, noise=NoiseSource("return_mean"))


def measure(score, error):
    """The metrics of a score with this standard error; None for unknown."""
    if error is None:
        return {}
    std = error * math.sqrt(EPISODES - 1)
    return {"return_mean": score, "return_std": std, "episodes": EPISODES}


def report(bracket, trial, level, score, error):
    row = result(trial, level, score, metrics=measure(score, error))
    decision = bracket.report_score(trial, level, score, row.metrics)
    return [row] if decision is None else [row, decision]


def play(bracket, sweep, order, rows=()):
    """Run a sweep with one worker from these rows on; return all its rows."""
    rows, coming = list(rows), list(order)
    for _ in range(20 * len(sweep) + 20):
        trial = bracket.find_promotable()
        if trial is not None:
            rows.append(bracket.promote(trial))
            continue
        if ended := bracket.end_hopeless():
            rows += ended
            continue
        running = [t for t, place in bracket.next_rung_index.items() if place]
        coming = [t for t in coming if bracket.next_rung_index.get(t) == 0]
        if not running and not coming:
            break
        trial = running[0] if running else coming[0]
        place = bracket.next_rung_index[trial]
        if place == len(LEVELS):
            bracket.remove_trial(trial)
            rows.append(EndRow(trial=trial, iteration=9, reason="budget"))
        else:
            rows += report(bracket, trial, LEVELS[place], *sweep[trial])
    return rows


def list_ends(rows):
    return [row for row in rows if getattr(row, "keep", True) is False]


# Few different values, so that ties and differences of exactly the noise occur.
score = st.sampled_from([-2.0, 0.0, 0.5, 1.0, 1.5, 4.0]) | st.floats(-5, 5)
error = st.none() | st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 3)
sweeps = st.lists(st.tuples(score, error), min_size=2, max_size=14)


@settings(max_examples=150, derandomize=True)
@given(
    sweeps, st.randoms(use_true_random=False), st.sampled_from(["min", "max"]),
    st.integers(2, 4), st.booleans(),
)  # fmt: skip
def test_no_trial_is_cut_within_its_noise_and_all_end(drawn, random, mode, factor, pauses):
    sweep = {f"{i:02d}": pair for i, pair in enumerate(drawn)}
    order = random.sample(sorted(sweep), len(sweep))
    bracket = make_bracket(len(sweep), mode, factor, pauses)
    rows = play(bracket, sweep, order)
    assert not bracket.next_rung_index and not bracket.waiting_rung_index, "none is stuck"
    sign = 1 if mode == "max" else -1
    best = max(sign * score for score, _ in drawn)
    finished = {row.trial for row in rows if isinstance(row, EndRow)}
    assert any(sign * sweep[trial][0] == best for trial in finished)
    for row in list_ends(rows):
        below = sign * (row.cut - row.score)
        of_cut = [e or 0.0 for score, e in drawn if score == pytest.approx(row.cut)]
        assert below > NOISE * math.hypot(row.standard_error or 0.0, min(of_cut)) - 1e-9
        assert below > 0, "ties are ended by nothing"


@settings(max_examples=80, derandomize=True)
@given(st.permutations(range(12)), st.sampled_from(["min", "max"]), st.integers(2, 4))
def test_noise_of_zero_changes_no_decision(order, mode, factor):
    names = [f"{i:02d}" for i in order]
    ends = {}
    for known in (None, 0.0):
        bracket = make_bracket(12, mode, factor)
        rows = play(bracket, {name: (float(name), known) for name in names}, names)
        ends[known] = [(row.trial, row.rung, row.cut, row.sentence) for row in list_ends(rows)]
    assert ends[None] == ends[0.0] and "noise" not in str(ends)


@settings(max_examples=100, derandomize=True)
@given(sweeps, st.integers(0, 60), st.booleans())
def test_a_restored_bracket_decides_as_the_live_one(drawn, cut, pauses):
    sweep = {f"{i:02d}": pair for i, pair in enumerate(drawn)}
    rows = play(make_bracket(len(sweep), pauses=pauses), sweep, sorted(sweep))[:cut]
    restored, live = (make_bracket(len(sweep), pauses=pauses) for _ in range(2))
    restored.restore_decisions(rows)
    for row in rows:
        live.restore_decisions([row])
    for rung, other in zip(restored.rungs, live.rungs, strict=True):
        assert vars(rung) == vars(other)
    assert restored.waiting_rung_index == live.waiting_rung_index
    ends = [
        [(row.trial, row.sentence) for row in list_ends(play(one, sweep, sorted(sweep), rows))]
        for one in (restored, live)
    ]
    assert ends[0] == ends[1]


def test_a_trial_within_the_noise_waits_and_is_then_promoted():
    bracket = make_bracket(5)
    for trial, score in (("00", -20.0), ("01", -21.5), ("02", -22.0), ("03", -30.0)):
        report(bracket, trial, 1, score, 1.9)
    assert [bracket.promote(bracket.find_promotable()).trial for _ in range(2)] == ["00", "01"]
    (end,) = bracket.end_hopeless()
    assert (end.trial, end.standard_error) == ("03", pytest.approx(1.9))
    assert end.sentence == (
        "rung 1: mean -30 is below -21.5, the cut for the best 2 of 5 when 4 of them had a score "
        "there, "
        "by more than 1 standard error of the difference (standard errors 1.9 and 1.9)"
    )
    assert bracket.find_promotable() is None, "04 may still raise the cut"
    report(bracket, "04", 1, -40.0, None)
    bracket.end_hopeless()
    row = bracket.promote(bracket.find_promotable())
    assert (row.trial, row.keep, row.rank, row.cut) == ("02", True, 3, -21.5)
    assert row.sentence == (
        "rung 1: mean -22 is below -21.5, the cut for the best 2 of 5, "
        "by no more than 1 standard error of the difference (standard errors 1.9 and 1.9)"
    )


def test_no_success_in_thousands_of_episodes_is_no_score_without_noise():
    noise = NoiseSource("success_rate")
    bracket = Bracket(LEVELS, "max", 2, [*"abcd"], pauses=True, noise=noise)
    for trial, successes in zip("abcd", (2, 2, 0, 0), strict=True):
        rate = successes / 4000
        bracket.report_score(trial, 1, rate, {"success_rate": rate, "episodes": 4000})
    promoted = []
    while (trial := bracket.find_promotable()) is not None:
        assert not bracket.end_hopeless()
        promoted.append(bracket.promote(trial).trial)
    assert sorted(promoted) == [*"abcd"]


def test_ties_are_promoted_whichever_came_first():
    bracket = make_bracket(4)
    for trial in ("02", "00", "03", "01"):
        report(bracket, trial, 1, 0.0, 0.0)
    rows = [bracket.promote(bracket.find_promotable()) for _ in range(4)]
    assert [row.trial for row in rows] == ["02", "00", "03", "01"]
    assert rows[-1].sentence == "rung 1: mean 0 equals the cut for the best 2 of 4"


def test_without_pauses_a_trial_within_the_noise_continues():
    bracket = make_bracket(3, pauses=False)
    kept = [report(bracket, t, 1, s, 1.0)[1] for t, s in (("00", 2.0), ("01", 1.0), ("02", -9.0))]
    assert [row.keep for row in kept] == [True, True, False]
    assert "no more than 1 standard error" in kept[1].sentence


def test_noise_before_a_resume_counts_at_its_next_rung():
    live = make_bracket(2)
    rows = report(live, "00", 1, 1.0, 2.0)
    live.remove_trial("01")
    rows += [EndRow(trial="01", iteration=1, reason="health")]
    rows.append(live.promote("00"))
    restored = make_bracket(2)
    restored.restore_decisions(rows)
    seen, again = (report(one, "00", 3, 5.0, None)[1] for one in (live, restored))
    assert seen.standard_error is None or seen == replace(again, time=seen.time)
    assert again.standard_error == seen.standard_error
