# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""Brackets rank trials by their curves, and a resumed session has those of the first one."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_sweep import result

from rungwise.run_log.events import DecisionRow, EndRow
from rungwise.run_log.score_noise import NoiseSource
from rungwise.run_log.trial_outcome import CONTINUED
from tune_jobs.schedulers.asha import make_decision
from tune_jobs.schedulers.brackets import make_brackets

EPISODES = 100


def make_sweep(count, levels=(3, 9), factor=3, **changed):
    names = [f"{i:02d}" for i in range(count)]
    return make_brackets(
        names, levels, "max", factor, 1, noise=NoiseSource("return_mean"), **changed
    )


def state(sweep):
    (bracket,) = sweep
    rungs = [vars(rung) for rung in bracket.rungs]
    return bracket.next_rung_index, bracket.waiting_rung_index, rungs


def measure(score, error):
    """The metrics of a score with this standard error; None for unknown."""
    if error is None:
        return {}
    std = error * math.sqrt(EPISODES - 1)
    return {"return_mean": score, "return_std": std, "episodes": EPISODES}


def play(sweep, scores, order, rows=()):
    """Run a sweep with one worker from these rows on; return all its rows."""
    (bracket,), rows, coming = sweep, list(rows), list(order)
    for _ in range(20 * len(scores) + 20):
        rows += map(make_decision, bracket.end_hopeless())
        if trial := bracket.find_promotable():
            rows.append(make_decision(bracket.promote(trial)))
            continue
        running = [t for t, index in bracket.next_rung_index.items() if index]
        coming = [t for t in coming if bracket.next_rung_index.get(t) == 0]
        for trial in (running or coming)[:1]:
            if (index := bracket.next_rung_index[trial]) == len(bracket.levels):
                bracket.remove_trial(trial)
                rows.append(EndRow(trial=trial, iteration=27, reason="budget"))
                continue
            score, error = scores[trial]
            row = result(trial, bracket.levels[index], score, metrics=measure(score, error))
            verdict = sweep.report(trial, row.iteration, score, row.metrics)
            rows += [row, make_decision(verdict)]
    assert not bracket.next_rung_index and not bracket.waiting_rung_index, "everyone ends"
    return rows


def test_trial_is_ranked_by_the_mean_of_its_later_half():
    sweep = make_sweep(9, levels=(4, 8))
    for at, score in enumerate([100.0, 50.0, 2.0, 4.0], 1):
        verdict = sweep.report("00", at, score, {})
    assert verdict.entry.score == 3.0
    # A restarted trial repeats the iterations since its checkpoint; what is not finite in between
    # counts for nothing.
    for at, score in [(1, 0.0), (2, 0.0), (3, 9.0), (2, 5.0), (3, math.nan), (4, 7.0)]:
        verdict = sweep.report("01", at, score, {})
    assert verdict.entry.score == 7.0
    assert math.isnan(sweep.report("02", 4, math.nan, {}).entry.score)


def test_best_trial_is_promoted_on_arrival():
    sweep = make_sweep(9)
    verdicts = [sweep.report(f"{i:02d}", 3, float(i), {}) for i in range(3)]
    assert [verdict.kind for verdict in verdicts] == ["pause", "pause", "promote"]


def test_no_success_in_thousands_of_episodes_is_noisy():
    sweep = make_brackets([*"abcd"], [1, 3], "max", 2, 1, noise=NoiseSource("success_rate"))
    (bracket,) = sweep
    for trial, successes in zip("abcd", (2, 2, 0, 0), strict=True):
        rate = successes / 4000
        sweep.report(trial, 1, rate, {"success_rate": rate, "episodes": 4000})
    while (trial := bracket.find_promotable()) is not None:
        assert not bracket.end_hopeless()
        bracket.promote(trial)
    assert sorted(bracket.next_rung_index) == [*"abcd"]


score = st.sampled_from([-2.0, 0.0, 0.5, 1.0, 1.5, 4.0]) | st.floats(-5, 5)
error = st.none() | st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 3)


@settings(max_examples=100, derandomize=True)
@given(
    st.lists(st.tuples(score, error), min_size=2, max_size=14),
    st.randoms(use_true_random=False), st.integers(0, 60), st.booleans(),
)  # fmt: skip
def test_restored_brackets_decide_as_the_live_ones(drawn, random, cut, pauses):
    scores = {f"{i:02d}": pair for i, pair in enumerate(drawn)}
    order = random.sample(sorted(scores), len(scores))
    live, restored, again = (make_sweep(len(scores), pauses=pauses) for _ in range(3))
    rows = play(live, scores, order)
    assert restored.restore(rows) == [] and state(restored) == state(live)
    again.restore(rows[:cut])
    again.restore(rows[:cut])  # what is known already changes nothing
    finished = {row.trial for row in play(again, scores, order, rows[:cut]) if is_budget(row)}
    best = max(score for score, _ in drawn)
    assert any(scores[trial][0] == best for trial in finished), "the best is not lost"


def is_budget(row):
    return isinstance(row, EndRow) and row.reason == "budget"


def test_scores_before_a_resume_count_at_the_next_rung():
    scores = [100.0, 50.0, 2.0, 4.0, 1.0, 2.0, 3.0, 6.0]
    rows = [result("00", at, score) for at, score in enumerate(scores, 1)]
    below, above = (make_sweep(1, levels=(4, 8)) for _ in range(2))
    below.restore(rows[:3])
    decision = make_decision(below.report("00", 4, 4.0, {}))
    assert (decision.score, decision.keep, decision.waits) == (3.0, True, False)
    above.restore([*rows[:4], decision, *rows[4:7]])
    assert above.report("00", 8, 6.0, {}).entry.score == 3.0


def test_resumed_session_knows_which_trials_were_undecided():
    live, restored = make_sweep(2), make_sweep(2)
    rows = [result("00", iteration, None) for iteration in (3, 9)]
    assert [live.report("00", iteration, None, {}) for iteration in (3, 9)] == [None, None]
    rows.append(make_decision(live.report("01", 3, 1.0, {})))
    restored.restore(rows)
    assert next(iter(restored)).next_rung_index == {"00": 1, "01": 1}
    assert next(iter(live)).next_rung_index == {"00": 1, "01": 1}


def row(trial, rung=3, score=1.0, keep=True, waits=True):
    return DecisionRow(
        trial=trial, iteration=rung, rung=rung, score=score, cut=None, rank=1, of=1,
        keep=keep, waits=waits, sentence="",
    )  # fmt: skip


def test_recalled_decisions_put_every_trial_where_it_was():
    sweep = make_sweep(6)
    (bracket,) = sweep
    diverged = result("03", 3, None, metrics={"nonfinite": 2})
    sweep.restore([row("00"), row("01", score=2.0), row("02", keep=False, waits=False)])
    sweep.restore([diverged, row("03", score=None, keep=False, waits=False)])
    assert bracket.waiting_rung_index == {"00": 0, "01": 0}
    assert set(bracket.next_rung_index) == {"04", "05"}
    assert math.isnan(bracket.rungs[0].entries["03"].score)
    sweep.restore([row("01", score=2.0, waits=False)])
    assert bracket.next_rung_index["01"] == 1 and bracket.waiting_rung_index == {"00": 0}
    sweep.restore([row("01", rung=9, score=2.5), row("01", score=2.0, waits=False)])
    old = "a promotion from a rung left long ago is no news"
    assert bracket.waiting_rung_index == {"00": 0, "01": 1}, old


@pytest.mark.parametrize(("reason", "ends"), [("health", True), (min(CONTINUED), False)])
def test_recalled_end_counts_unless_the_trial_continues(reason, ends):
    sweep = make_sweep(2)
    sweep.restore([EndRow(trial="00", iteration=1, reason=reason)])
    assert ("00" not in next(iter(sweep)).next_rung_index) == ends


def test_brackets_skip_low_rungs_at_about_equal_cost():
    names = [f"{i:03d}" for i in range(100)]
    three = [*make_brackets(names, [3, 9, 27], "max", 3, 3)]
    assert [bracket.levels for bracket in three] == [[3, 9, 27], [9, 27], [27]]
    sizes = [len(bracket.next_rung_index) for bracket in three]
    assert sizes == [60, 27, 13], "the weights are 27 / 4, 9 / 3 and 3 / 2"
    few = [*make_brackets(names[:30], [3, 9, 27], "max", 3, 3)]
    for one, all_of in zip(few, three, strict=True):
        assert one.next_rung_index.keys() <= all_of.next_rung_index.keys(), "where some join later"
    assert three[1].enter_rung("001", 9, 1.0).bracket == 2
    assert three[0].enter_rung("001", 9, 1.0) is None, "a trial belongs to one bracket"
