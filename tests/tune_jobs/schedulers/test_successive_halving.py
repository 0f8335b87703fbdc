# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""Who waits at a rung, who goes on and who ends."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_sweep import result

from rungwise.run_log.events import EndRow
from tune_jobs.schedulers.successive_halving import Bracket, make_brackets


def rungs_of(count, levels=(3, 9), mode="max", factor=3):
    return Bracket(levels, mode, factor, [f"{i:02d}" for i in range(count)])


def test_the_first_ones_wait_until_there_are_enough_to_tell():
    rungs = rungs_of(9)
    assert (
        rungs.report_score("00", 3, 1.0).sentence
        == "rung 3: 1 waits: number 1 of 1, too few to compare"
    )
    rungs.report_score("01", 3, 2.0)
    assert rungs.find_promotable() is None
    said = rungs.report_score("02", 3, 1.5)
    assert (said.keep, said.waits, said.rank, said.of) == (True, True, 2, 3)
    assert said.sentence == "rung 3: 1.5 waits: number 2 of 3, and the best may continue"
    assert rungs.find_promotable() == "01"
    kept = rungs.promote("01")
    assert (kept.keep, kept.waits, kept.cut) == (True, False, 2.0)
    assert kept.sentence == "rung 3: mean 2 is among the best of 3"
    assert rungs.find_promotable() is None, "only one of three goes on"


def test_a_trial_is_ranked_by_the_mean_of_its_later_half():
    rungs = rungs_of(9, levels=(4, 8))
    curve = {1: 100.0, 2: 50.0, 3: 2.0, 4: 4.0}
    for at, score in curve.items():
        decision = rungs.report_score("00", at, score)
    assert decision.score == 3.0
    # A restarted trial repeats the iterations since its checkpoint; what is not finite in between
    # counts for nothing.
    for at, score in [(1, 0.0), (2, 0.0), (3, 9.0), (2, 5.0), (3, math.nan), (4, 7.0)]:
        decision = rungs.report_score("01", at, score)
    assert decision.score == 7.0
    assert math.isnan(rungs.report_score("02", 4, math.nan).score)


def test_scores_before_a_resume_count_at_its_next_rung():
    scores = [100.0, 50.0, 2.0, 4.0, 1.0, 2.0, 3.0, 6.0]
    rows = [result("00", at, score) for at, score in enumerate(scores, 1)]
    below = rungs_of(1, levels=(4, 8))
    below.restore_decisions(rows[:3])
    assert below.report_score("00", 4, 4.0).score == 3.0
    decision = below.promote("00")
    above = rungs_of(1, levels=(4, 8))
    above.restore_decisions([*rows[:4], decision, *rows[4:7]])
    assert above.report_score("00", 8, 6.0).score == 3.0


def test_running_trial_is_never_ended_by_better_trials():
    rungs = rungs_of(9)
    for trial, score in (("00", 3.0), ("01", 2.0), ("02", 1.0)):
        rungs.report_score(trial, 3, score)
    rungs.promote("00")
    for number in range(3, 9):
        rungs.report_score(f"{number:02d}", 3, 10.0 + number)
    assert "00" not in {row.trial for row in rungs.end_hopeless()}
    assert rungs.report_score("00", 8, 0.0) is None
    assert rungs.report_score("00", 9, 0.0).rung == 9, "it is judged where it comes to"


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_score_that_is_not_finite_always_loses(score, mode):
    rungs = rungs_of(2, levels=[3], mode=mode)
    lost = rungs.report_score("00", 3, score)
    assert not lost.keep and "cannot be compared" in lost.sentence
    rungs.report_score("01", 3, 1.0)
    assert rungs.find_promotable() == "01"


def play(rungs, scores, order):
    """Each step the next free worker takes who may go on, or else who comes next."""
    ends, finished, rows = set(), set(), []
    coming = list(order)
    while coming or rungs.next_rung_index or rungs.waiting_rung_index:
        trial = rungs.find_promotable()
        if trial is not None:
            rows.append(rungs.promote(trial))
        else:
            trial = coming.pop()
        place = rungs.next_rung_index[trial]
        if place == len(rungs.levels):
            rungs.remove_trial(trial)
            finished.add(trial)
            rows.append(EndRow(trial=trial, iteration=27, reason="budget"))
        else:
            rows.append(rungs.report_score(trial, rungs.levels[place], scores[trial]))
        rows += (ended := rungs.end_hopeless())
        ends |= {row.trial for row in ended}
    return finished, ends, rows


@settings(max_examples=60, derandomize=True)
@given(st.permutations(range(12)), st.sampled_from(["min", "max"]), st.integers(2, 4))
def test_all_trials_end_and_the_best_survives_in_any_order(order, mode, factor):
    names = [f"{i:02d}" for i in range(12)]
    rungs = Bracket([1, 3], mode, factor, names)
    scores = {name: float(i) for i, name in enumerate(names)}
    finished, ended, rows = play(rungs, scores, [names[i] for i in order])
    assert finished | ended == set(names) and not finished & ended
    assert ("11" if mode == "max" else "00") in finished
    seen = {row.trial for row in rows if isinstance(row, EndRow) or row.rung == 3}
    assert len(seen) >= 12 // factor, "as many go on as the paper lets"


@settings(max_examples=60, derandomize=True)
@given(st.permutations(range(9)), st.integers(0, 20))
def test_a_resumed_session_decides_as_the_first_one_would_have(order, cut):
    names = [f"{i:02d}" for i in range(9)]
    scores = {name: float(i) for i, name in enumerate(names)}
    _, _, rows = play(rungs_of(9), scores, [names[i] for i in order])
    once, again = rungs_of(9), rungs_of(9)
    for row in rows[:cut]:
        once.restore_decisions([row])
    again.restore_decisions(rows[:cut])
    again.restore_decisions(rows[:cut])  # what is known already changes nothing
    assert (again.next_rung_index, again.waiting_rung_index) == (
        once.next_rung_index,
        once.waiting_rung_index,
    )
    assert again.find_promotable() == once.find_promotable()
    rest = [name for name in (names[i] for i in order) if again.next_rung_index.get(name) == 0]
    finished = {row.trial for row in rows[:cut] if isinstance(row, EndRow)}
    for trial in [t for t, place in again.next_rung_index.items() if place]:
        # Those that were under way arrive first.
        if again.next_rung_index[trial] == len(again.levels):
            again.remove_trial(trial)
            finished.add(trial)
        else:
            again.report_score(trial, again.levels[again.next_rung_index[trial]], scores[trial])
    finished |= play(again, scores, rest)[0]
    assert not again.next_rung_index and not again.waiting_rung_index, "everyone ends"
    assert "08" in finished, "the best is not lost"


@pytest.mark.parametrize(
    ("count", "brackets", "score", "finished"),
    [
        (1, 1, 1.0, 1),
        (9, 1, 1.0, 9),  # the order of arrival ends none
        (9, 1, math.nan, 0),
        (2, 3, 1.0, 2),  # each in a bracket of its own, and the third is empty
    ],
    ids=["one trial", "equal scores", "nothing but NaN", "more brackets than trials"],
)
def test_sweeps_without_a_choice_end(count, brackets, score, finished):
    names = [f"{i:02d}" for i in range(count)]
    ended = set()
    for bracket in make_brackets(names, [1, 3, 9], "max", 3, brackets):
        order = list(bracket.next_rung_index)
        done, _, _ = play(bracket, dict.fromkeys(names, score), order)
        ended |= done
        assert not bracket.next_rung_index and not bracket.waiting_rung_index
    assert len(ended) == finished


def test_brackets_skip_low_rungs_at_about_equal_cost():
    names = [f"{i:03d}" for i in range(100)]
    three = make_brackets(names, [3, 9, 27], "max", 3, 3)
    assert [rungs.levels for rungs in three] == [[3, 9, 27], [9, 27], [27]]
    sizes = [len(rungs.next_rung_index) for rungs in three]
    # The weights are 27 / 4, 9 / 3 and 3 / 2.
    assert sizes == [60, 27, 13] and sum(sizes) == 100
    for few, all_of in zip(make_brackets(names[:30], [3, 9, 27], "max", 3, 3), three, strict=True):
        assert few.next_rung_index.keys() <= all_of.next_rung_index.keys(), "where some join later"
    assert three[1].report_score("001", 9, 1.0).sentence.startswith("bracket 2, rung 9: ")
    assert three[0].report_score("001", 9, 1.0) is None, "a trial belongs to one bracket"


def test_a_trial_without_a_score_is_neither_promoted_nor_ended():
    rungs = rungs_of(2)
    assert rungs.report_score("00", 3, None) is None
    assert rungs.next_rung_index["00"] == 0 and not rungs.rungs[0].keys
    rungs.report_score("01", 3, 1.0)
    assert rungs.find_promotable() is None, "00 may still come to this rung"
    assert not rungs.end_hopeless()


def test_the_first_score_enters_the_highest_rung_reached_by_then():
    rungs = rungs_of(3)
    for iteration in range(3, 8):
        assert rungs.report_score("00", iteration, None) is None
    waits = rungs.report_score("00", 8, 5.0)
    assert (waits.rung, waits.iteration, waits.waits) == (3, 8, True)
    assert waits.sentence.startswith("rung 3 (entered at iteration 8): 5 waits")
    for iteration in range(3, 12):
        rungs.report_score("01", iteration, None)
    waits = rungs.report_score("01", 12, 4.0)
    assert (waits.rung, waits.iteration) == (9, 12)
    assert "01" not in rungs.rungs[0].keys, "a score of iteration 12 is none of iteration 3"


def test_a_rung_does_not_wait_for_a_trial_that_has_passed_it():
    rungs = rungs_of(2)
    rungs.report_score("00", 3, 1.0)
    for iteration in range(3, 9):
        rungs.report_score("01", iteration, None)
        assert rungs.find_promotable() is None
    rungs.report_score("01", 9, None)
    assert rungs.find_promotable() == "00"


def test_a_resumed_session_knows_which_trials_were_undecided():
    rungs, rows = rungs_of(2), []
    for iteration in (3, 9):
        rungs.report_score("00", iteration, None)
        rows.append(result("00", iteration, None))
    rows.append(rungs.report_score("01", 3, 1.0))
    again = rungs_of(2)
    again.restore_decisions(rows)
    assert (again.next_rung_index, again.waiting_rung_index) == (
        rungs.next_rung_index,
        rungs.waiting_rung_index,
    )
    assert again.find_promotable() == "01"
    rows.append(rungs.report_score("00", 11, 2.0))
    again.restore_decisions(rows)
    assert again.waiting_rung_index == rungs.waiting_rung_index == {"00": 1, "01": 0}


@settings(max_examples=60, derandomize=True)
@given(st.permutations(range(9)), st.sets(st.integers(0, 8)), st.integers(3, 30))
def test_every_trial_ends_even_if_some_are_undecided_for_long(order, late, first):
    rungs = rungs_of(9)
    at = dict.fromkeys(rungs.next_rung_index, 0)
    coming, finished = [f"{i:02d}" for i in order], 0
    for _ in range(9 * 40):
        trial = rungs.find_promotable()
        if trial is not None:
            rungs.promote(trial)
        else:
            trial = next((t for t in coming if t in rungs.next_rung_index), None)
        if trial is None:
            break
        at[trial] += 1
        undecided = int(trial) in late and at[trial] < first
        if at[trial] == 27:
            rungs.remove_trial(trial)
            finished += 1
        else:
            rungs.report_score(trial, at[trial], None if undecided else float(trial))
        rungs.end_hopeless()
    assert not rungs.next_rung_index and not rungs.waiting_rung_index
    assert finished >= 1


def test_a_score_between_rungs_enters_the_rung_before_it():
    rungs = rungs_of(3)
    assert rungs.report_score("00", 3, None) is None and rungs.report_score("00", 4, None) is None
    entered = rungs.report_score("00", 5, 1.0)
    assert (entered.rung, entered.iteration, entered.waits) == (3, 5, True)
    # Promoted, it reaches the next rung without a score, and enters it with its next one.
    rungs.promote("00")
    assert rungs.report_score("00", 9, None) is None
    assert rungs.report_score("00", 10, 2.0).rung == 9


def test_a_cut_among_all_trials_names_no_moment():
    rungs = rungs_of(4)
    for number in range(4):
        rungs.report_score(f"{number:02d}", 3, float(number))
    assert {row.sentence for row in rungs.end_hopeless() if row.trial == "00"} == {
        "rung 3: mean 0 is below 3, the cut for the best of 4"
    }


def at_once(count, **changed):
    ids = [f"{i:02d}" for i in range(count)]
    return Bracket(
        **{"levels": (3, 9), "mode": "max", "reduction_factor": 3} | changed,
        trials=ids,
        pauses=False,
    )


def test_without_pauses_a_trial_continues_or_ends_at_once():
    rungs = at_once(5)
    decisions = [
        rungs.report_score(f"{i:02d}", 3, score) for i, score in enumerate([1, 0.5, 2, 1.5])
    ]
    assert [row.keep for row in decisions] == [True, False, True, True]
    assert not any(row.waits for row in decisions) and rungs.find_promotable() is None
    assert decisions[1].sentence == "rung 3: mean 0.5 is below 1, the cut for the best of 2 so far"
    assert decisions[3].sentence == "rung 3: mean 1.5 is among the best 2 of 4"
    assert rungs.report_score("00", 5, 9.0) is None, "it is past the rung"
    assert rungs.report_score("00", 9, 9.0).keep
    assert rungs.end_hopeless() == []


@settings(derandomize=True)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.sampled_from([2, 3, 4]))
def test_without_pauses_min_mirrors_max_and_a_log_restores_it(scores, factor):
    high = at_once(len(scores), reduction_factor=factor)
    low = at_once(len(scores), reduction_factor=factor, mode="min")
    rows = [high.report_score(f"{i:02d}", 3, s) for i, s in enumerate(scores)]
    mirrored = [low.report_score(f"{i:02d}", 3, -s) for i, s in enumerate(scores)]
    assert [row.keep for row in rows] == [row.keep for row in mirrored]
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    assert rows[best].keep, "the best of all is never ended"
    for cut in range(len(rows) + 1):
        restored = at_once(len(scores), reduction_factor=factor)
        restored.restore_decisions(rows[:cut])
        again = [restored.report_score(f"{i:02d}", 3, scores[i]) for i in range(cut, len(scores))]
        assert again == [
            replace(row, time=later.time) for row, later in zip(rows[cut:], again, strict=True)
        ]
